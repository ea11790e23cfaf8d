{
  description = "Apache Iceberg tables as ordinary PostgreSQL tables";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
      ours = pkgs: import ./pkgs { inherit pkgs; };
    in
    {
      packages = forEachSystem (pkgs: (ours pkgs).flakePackages);
      apps = forEachSystem (pkgs: (ours pkgs).flakeApps);
      checks = forEachSystem (pkgs: (ours pkgs).flakeChecks);
      devShells = forEachSystem (pkgs: {
        default = (ours pkgs).callPackage ./pkgs/dev-shell.nix { };
      });
      formatter = forEachSystem (pkgs: (ours pkgs).formatter);

      overlays.default = import ./pkgs/overlay.nix;

      nixosModules.default = import ./nixos-module;
      nixosModules.pg-lakebase = self.nixosModules.default;
    };
}
