# docs/nixos-options.md.
{ lib }:

let
  evaluated = lib.evalModules {
    modules = [ ./options.nix ];
    # No default is looked at: each that depends on packages has a text.
    specialArgs.pkgs = throw "options have no packages";
  };
  options = lib.sort (a: b: a.name < b.name) (
    lib.filter (option: option.visible && !option.internal && lib.hasPrefix "services." option.name) (
      lib.optionAttrSetToDocList evaluated.options
    )
  );

  text = value: value.text or value;
  # A text over several lines has to be indented below its name.
  code =
    title: value:
    let
      given = lib.removeSuffix "\n" (text value);
    in
    if value._type or null == "literalMD" then
      "\n${title}: ${given}\n"
    else if lib.hasInfix "\n" given then
      "\n${title}:\n\n```nix\n${given}\n```\n"
    else
      "\n${title}: `${given}`\n";
  plain = description: lib.trim (lib.replaceStrings [ "{option}`" ] [ "`" ] (text description));
  section =
    option:
    ''

      ## `${lib.replaceStrings [ "<name>" ] [ "‹name›" ] option.name}`

      ${plain option.description}

      Type: ${option.type}
    ''
    + lib.optionalString (option ? default) (code "Default" option.default)
    + lib.optionalString (option ? example) (code "Example" option.example);
in
''
  # Options of the NixOS module

  <!-- Made of the options themselves: xtask/nix-check/README.md says how. -->

  `services.pg-lakebase` makes `services.postgresql` a server with Iceberg tables, and runs the storage service beside it.
''
+ lib.concatMapStrings section options
