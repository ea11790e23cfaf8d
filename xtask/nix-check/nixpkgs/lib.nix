# nixpkgs' lib, for Nix from 2.8 on, which Debian 12 has: it is read with the built-in functions that such a Nix lacks.
let
  newer = {
    # The store itself cannot be listed; of a flake there is a directory in it.
    readFileType =
      path:
      if toString (dirOf path) == builtins.storeDir then
        "directory"
      else
        (builtins.readDir (dirOf path)).${baseNameOf path};
    warn = message: value: builtins.trace "warning: ${message}" value;
  };
  scope = {
    builtins = newer // builtins;
    import = scopedImport scope;
  };
  inherit (builtins) scopedImport;
in
scope.import ../nixpkgs-lib
