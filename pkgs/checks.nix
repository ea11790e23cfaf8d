{
  lib,
  callPackage,
  flakePackages,
  pg-lakebase-psql,
}:

removeAttrs flakePackages [ "default" ]
// {
  inherit pg-lakebase-psql;
}
// lib.filterAttrs (_: lib.isDerivation) (
  callPackage ./nix-checks.nix { }
  // callPackage ./rust-checks.nix { }
  // callPackage ./server-tests.nix { }
)
// lib.mapAttrs' (name: lib.nameValuePair "vm-${name}") (callPackage ../vm-tests { })
