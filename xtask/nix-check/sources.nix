# What the module says of the Rust code, compared with the code: all lists have to be empty.
let
  lib = import ./nixpkgs/lib.nix;
  read = file: builtins.readFile (../.. + "/${file}");
  # All that a pattern finds; the first group of each.
  find = pattern: text: map lib.head (lib.filter lib.isList (builtins.split pattern text));

  registered = lib.unique (
    lib.concatMap (file: find ''c"(pg_(iceberg_am|lakebase)\.[a-z_]+)"'' (read file)) [
      "extension/pg-iceberg-am/src/guc.rs"
      "extension/pg-iceberg-am/src/storage_service/settings.rs"
    ]
  );
  known = (import ../../nixos-module/settings.nix { inherit lib; }).names;

  main = read "storage/src/main.rs";
  arguments =
    map (lib.replaceStrings [ "_" ] [ "-" ]) (
      find "\n    ([a-z_]+): " (
        lib.head (lib.splitString "\n}\n" (lib.last (lib.splitString "struct Arguments {" main)))
      )
    )
    ++ find ''long = "([a-z-]+)"'' main;
  unit = (import ./evaluate.nix { }).of [
    {
      services.pg-lakebase.enable = true;
      services.pg-lakebase.storage.credentialsFile = "/credentials";
    }
  ];
  passed = lib.unique (find "--([a-z-]+)=" unit.systemd.services.pg-lakebase-storage.script);

  # Names of packages that the overlay gives, each evaluated.
  overlaid =
    let
      nixpkgs = import ./nixpkgs { system = "x86_64-linux"; };
      overlay = import ../../pkgs/overlay.nix;
      final = lib.fix (lib.extends overlay (_: nixpkgs));
    in
    lib.filter (name: final.${name}.drvPath != "") (lib.attrNames (overlay final nixpkgs));

  tablespaceOptions = find ''known\("([a-z_]+)"'' (
    lib.head (
      lib.splitString "const TEST" (read "extension/pg-iceberg-am/src/tablespaces/vocabulary.rs")
    )
  );
  declared = lib.attrNames (
    (import ../../nixos-module/tablespaces.nix { inherit lib; }).type.getSubOptions [ ]
  );
in
{
  settings-missing = lib.subtractLists known registered;
  settings-superfluous = lib.subtractLists registered known;
  arguments-unknown = lib.subtractLists arguments passed;
  tablespace-options-missing = lib.subtractLists declared tablespaceOptions;
  tablespace-options-superfluous = lib.subtractLists (
    tablespaceOptions
    ++ [
      "_module"
      "location"
      "protocol"
      "probe"
    ]
  ) declared;
  overlay-missing = lib.subtractLists overlaid [
    "cargo-pgrx_0_18_1"
    "pg-iceberg-am"
    "pg-lakebase"
    "pg-lakebase-container"
    "pg-lakebase-psql"
    "pg-lakebase-quickstart"
    "pg-lakebase-storage"
  ];
  # The one that Cargo.toml has, unless cargo-pgrx is of the same.
  pgrx-other = lib.subtractLists (find ''version = "([0-9.]+)"'' (read "pkgs/cargo-pgrx.nix")) (
    find ''pgrx-tests = "=([0-9.]+)"'' (read "Cargo.toml")
  );
}
