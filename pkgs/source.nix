# What the crates are built from. Cargo reads the manifest of every member, and wants its main file to be there.
{ lib }:

let
  root = ../.;
  workspace = (lib.importTOML (root + "/Cargo.toml")).workspace;
  manifests = [
    (root + "/Cargo.toml")
    (root + "/Cargo.lock")
    (root + "/.cargo/config.toml")
  ];
  crates = [
    (root + "/extension")
    (root + "/iceberg")
    (root + "/storage")
  ];
  regressionTests = root + "/extension/pg-iceberg-am/tests/pg_regress";
  isolationTests = root + "/extension/pg-iceberg-am/tests/isolation";
  toSource =
    files:
    lib.fileset.toSource {
      inherit root;
      fileset = lib.fileset.unions files;
    };
in
{
  inherit (workspace.package) version;
  lockFile = root + "/Cargo.lock";

  # What the packages need: a change to the maintenance commands, to tests in SQL, to documentation or to Nix code builds none of
  # them anew.
  packages = toSource [
    (lib.fileset.difference (lib.fileset.unions (manifests ++ crates)) (
      lib.fileset.unions [
        regressionTests
        isolationTests
      ]
    ))
    (root + "/xtask/Cargo.toml")
    (root + "/xtask/src/main.rs")
  ];

  # What lints and tests need.
  everything = toSource (
    manifests
    ++ crates
    ++ [
      (root + "/xtask")
      (root + "/rustfmt.toml")
      (root + "/docs/data")
      # The tests of the rooms read it.
      (root + "/ARCHITECTURE.md")
    ]
  );

  inherit regressionTests isolationTests;
  gcsEmulator = root + "/xtask/stores/gcs";
  # Without those that are nixpkgs'.
  nixFiles = toSource [
    (lib.fileset.difference (lib.fileset.fileFilter (file: file.hasExt "nix") root) (
      root + "/xtask/nix-check/nixpkgs-lib"
    ))
  ];

  meta = {
    license = lib.licenses.asl20;
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
