# Of NixOS: the options that the module and the scenarios use.
{ lib, ... }:

let
  inherit (lib) mkOption types;

  # Lists are joined, also with what is no list; otherwise all have to say the same.
  unitOption = lib.mkOptionType {
    name = "value of a key of a unit";
    merge =
      location: definitions:
      let
        values = map (definition: definition.value) definitions;
      in
      if lib.any lib.isList values then
        lib.concatMap lib.toList values
      else
        lib.mergeEqualOption location definitions;
  };
  section = mkOption {
    type = types.attrsOf unitOption;
    default = { };
  };
  names = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  lines = mkOption {
    type = types.lines;
    default = "";
  };
  anything = mkOption {
    type = types.attrsOf (types.attrsOf types.anything);
    default = { };
  };

  unit = types.submodule {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
      };
      description = mkOption {
        type = types.str;
        default = "";
      };
      environment = mkOption {
        type = types.attrsOf (types.nullOr types.str);
        default = { };
      };
      path = mkOption {
        type = types.listOf (types.either types.package types.str);
        default = [ ];
      };
      preStart = lines;
      script = lines;
      postStart = lines;
      unitConfig = section;
      serviceConfig = section;
    }
    // lib.genAttrs [
      "after"
      "before"
      "wants"
      "requires"
      "bindsTo"
      "partOf"
      "wantedBy"
      "requiredBy"
    ] (_: names);
  };
  units = mkOption {
    type = types.attrsOf unit;
    default = { };
  };
in
{
  options = {
    assertions = mkOption {
      type = types.listOf (
        types.submodule {
          options = {
            assertion = mkOption { type = types.bool; };
            message = mkOption { type = types.str; };
          };
        }
      );
      default = [ ];
    };
    systemd.services = units;
    systemd.targets = units;
    systemd.tmpfiles.settings = mkOption {
      type = types.attrsOf (types.attrsOf (types.attrsOf (types.attrsOf types.str)));
      default = { };
    };
    users.users = anything;
    users.groups = anything;
    environment.etc = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            text = mkOption { type = types.str; };
            mode = mkOption {
              type = types.str;
              default = "0644";
            };
          };
        }
      );
      default = { };
    };
    environment.systemPackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
    };
    networking.firewall.allowedTCPPorts = mkOption {
      type = types.listOf types.port;
      default = [ ];
    };
    system.switch.enable = lib.mkEnableOption "changing to another configuration";
    virtualisation = mkOption {
      type = types.attrsOf types.int;
      default = { };
    };
    specialisation = mkOption {
      type = types.attrsOf (
        types.submodule { options.configuration = mkOption { type = types.deferredModule; }; }
      );
      default = { };
    };
  };
}
