# The module, evaluated with nixpkgs' module system and a configuration.
{
  place ? _: null,
}:

let
  lib = import ./nixpkgs/lib.nix;
  pkgs = import ./nixpkgs {
    system = "x86_64-linux";
    inherit place;
  };
in
{
  inherit lib;

  of =
    modules:
    (lib.evalModules {
      modules = [
        ./nixos/options.nix
        ./nixos/postgresql.nix
        ../../nixos-module
      ]
      ++ modules;
      specialArgs = { inherit pkgs; };
    }).config;

  failed = config: map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
}
