{
  lib,
  callPackage,
  flakePackages,
  pg-lakebase-psql,
}:

let
  # callPackage adds functions for overriding.
  derivations = file: lib.filterAttrs (_: lib.isDerivation) (callPackage file { });
in
removeAttrs flakePackages [ "default" ]
// {
  inherit pg-lakebase-psql;
}
// derivations ./nix-checks.nix
// derivations ./rust-checks.nix
// derivations ./server-tests.nix
// lib.mapAttrs' (name: lib.nameValuePair "vm-${name}") (derivations ../vm-tests)
