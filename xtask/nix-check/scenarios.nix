# The machines of the scenarios in `vm-tests`, as modules for `units.nix`, and the scenarios' steps.
let
  names = builtins.filter (name: name != "default.nix" && name != "shared.nix") (
    builtins.filter (name: builtins.match ".*\\.nix" name != null) (
      builtins.attrNames (builtins.readDir ../../vm-tests)
    )
  );
in
builtins.listToAttrs (
  map (
    file:
    let
      scenario = import (../../vm-tests + "/${file}");
    in
    {
      inherit (scenario) name;
      value = {
        inherit (scenario) nodes testScript;
      };
    }
  ) names
)
