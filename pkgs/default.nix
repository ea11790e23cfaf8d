# All packages of the project, from a nixpkgs that the caller gives: the flake its pinned one, the NixOS module that of
# the system, so that the extension and the server are linked to the same libraries.
{ pkgs }:

pkgs.lib.makeScope pkgs.newScope (self: {
  source = self.callPackage ./source.nix { };
  cargo-pgrx_0_18_1 = self.callPackage ./cargo-pgrx.nix { };

  pg-lakebase-storage = self.callPackage ./pg-lakebase-storage.nix { };
  pg-iceberg-am = self.callPackage ./pg-iceberg-am.nix { postgresql = pkgs.postgresql_17; };
  pg-lakebase = self.callPackage ./pg-lakebase.nix { };

  pg-lakebase-psql = self.callPackage ./psql.nix { };
  quickstart = self.callPackage ./quickstart.nix { };
  container = self.callPackage ./container.nix { };

  postgresql-assert = self.callPackage ./postgresql-assert.nix { };
  postgresql-source = self.callPackage ./postgresql-source.nix { };
  gcs-emulator = self.callPackage ./gcs-emulator.nix { };
  minio-for-tests = self.callPackage ./minio-for-tests.nix { };

  # nixfmt, the formatter of nixpkgs. nixfmt_rs, which prints the same, is had from the registry of crates.
  formatter = pkgs.nixfmt-tree;

  flakePackages = {
    default = self.pg-lakebase;
    inherit (self)
      pg-lakebase
      pg-iceberg-am
      pg-lakebase-storage
      cargo-pgrx_0_18_1
      quickstart
      container
      ;
  };

  flakeChecks = import ./checks.nix {
    inherit (pkgs) lib;
    inherit (self) callPackage flakePackages pg-lakebase-psql;
  };

  flakeApps = {
    default = {
      type = "app";
      program = pkgs.lib.getExe self.pg-lakebase-psql;
      meta.description = "psql to a private cluster";
    };
    quickstart = {
      type = "app";
      program = pkgs.lib.getExe self.quickstart;
      meta.description = "A private cluster with an Iceberg table";
    };
  };
})
