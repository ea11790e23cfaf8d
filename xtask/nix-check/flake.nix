{
  description = "Stand-in for nixpkgs, for evaluating pg-lakebase's flake where nixpkgs cannot be had";

  outputs = _: {
    lib = import ./nixpkgs/lib.nix;
    legacyPackages = (import ./nixpkgs/lib.nix).genAttrs [ "x86_64-linux" "aarch64-linux" ] (
      system: import ./nixpkgs { inherit system; }
    );
  };
}
