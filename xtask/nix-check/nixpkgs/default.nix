# As much of nixpkgs as the flake asks for. A package is a derivation that nobody builds; what it is made of is evaluated.
{
  system,
  # Where the programs of a package are, by its name; `null` for the store, where they are not.
  place ? _: null,
}:

let
  lib = import ./lib.nix;

  package =
    name: arguments:
    let
      # What would have been built of these: their text is evaluated, and with it every package that they name.
      text = lib.filterAttrs (_: value: lib.isString value || lib.isDerivation value) arguments;
    in
    let
      built = derivation {
        inherit name system;
        builder = "/bin/sh";
        arguments = lib.attrValues (builtins.mapAttrs (_: toString) text);
      };
      placed = {
        type = "derivation";
        outPath = place name;
        drvPath = place name;
      };
      self = (if place name == null then built else placed) // {
        inherit name;
        pname = name;
        version = "17.0";
        out = self;
        meta = arguments.meta or { };
        src = ./default.nix;
        override = changes: package name (arguments // changes);
        overrideAttrs =
          changes:
          package name (
            arguments
            // changes {
              meta = { };
              configureFlags = [ ];
              postInstall = "";
            }
          );
      };
    in
    self;

  make =
    arguments:
    let
      fixed = if lib.isFunction arguments then lib.fix arguments else arguments;
    in
    package (fixed.pname or fixed.name) (
      lib.mapAttrs (
        _: value:
        # Lists of packages and flags are evaluated as well.
        if lib.isList value then lib.concatMapStringsSep " " toString value else value
      ) fixed
    );

  postgresql =
    major:
    let
      self = package "postgresql" { } // {
        psqlSchema = major;
        pg_config = package "pg_config" { };
        dev = package "postgresql-dev" { };
        installedExtensions = [ ];
        withPackages =
          f: package "postgresql" { extensions = lib.concatStrings (f { }); } // { psqlSchema = major; };
        withJIT = self;
        withoutJIT = self;
        overrideAttrs = changes: (package "postgresql" { }).overrideAttrs changes // self;
      };
    in
    self;

  newScope =
    packages: extra: file: arguments:
    let
      function = if lib.isFunction file then file else import file;
      wanted = lib.functionArgs function;
      given = builtins.intersectAttrs wanted (packages // extra) // arguments;
      call = given: function given;
    in
    lib.makeOverridable call given;

  packages =
    lib.genAttrs [
      "azurite"
      "bashInteractive"
      "bison"
      "bzip2"
      "cargo"
      "clang"
      "clippy"
      "coreutils"
      "deadnix"
      "duckdb"
      "fake-gcs-server"
      "findutils"
      "flex"
      "go"
      "lz4"
      "minio"
      "nixfmt"
      "nixfmt-tree"
      "openssl"
      "perl"
      "pkg-config"
      "readline"
      "rust-analyzer"
      "rustc"
      "rustfmt"
      "zlib"
      "zstd"
    ] (name: package name { })
    // {
      inherit lib system;
      postgresql_16 = postgresql "16";
      postgresql_17 = postgresql "17";
      jdk17_headless = package "jdk" { } // {
        home = "/jdk";
      };
      nodejs = package "nodejs" { } // {
        meta.mainProgram = "node";
      };
      python3 = package "python3" { } // {
        withPackages = f: package "python3-env" { packages = lib.concatStrings (f python3Packages); };
      };
      stdenv.cc.cc = package "gcc" { };
      rustPlatform = {
        buildRustPackage = make;
        bindgenHook = package "bindgen-hook" { };
      };
      buildPgrxExtension = make;
      buildGoModule = make;
      buildEnv = make;
      mkShell = arguments: make ({ name = "shell"; } // arguments);
      fetchCrate = { pname, version, ... }: package "${pname}-${version}" { };
      runCommand =
        name: environment: text:
        make (environment // { inherit name text; });
      writeText = name: text: make { inherit name text; };
      writeShellApplication = arguments: make arguments // { meta.mainProgram = arguments.name; };
      dockerTools = {
        streamLayeredImage = arguments: make (arguments // { config = builtins.toJSON arguments.config; });
        caCertificates = package "ca-certificates" { };
        fakeNss.override = _: package "fake-nss" { };
      };
      # A scenario's text and the modules of its machines are evaluated; the machines are by `units.nix`.
      testers.runNixOSTest =
        scenario:
        let
          evaluated = lib.toFunction scenario {
            inherit lib;
            pkgs = everything;
          };
        in
        make {
          name = "vm-test-${evaluated.name}";
          text = evaluated.testScript;
          machines = lib.attrNames evaluated.nodes;
        };
      newScope = extra: newScope packages extra;
      callPackage = newScope packages { };
    };

  python3Packages = lib.genAttrs [ "duckdb" "pyarrow" "pyiceberg" ] (name: package name { });
  everything = packages;
in
everything
