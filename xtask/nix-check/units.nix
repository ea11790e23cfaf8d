# What a configuration makes of a machine, for `nix-instantiate --eval --strict --json`: `files` by their paths, with text and
# mode; `scripts` that units run, by their names in the directory `scripts`; `users` with their groups, `groups`, the `settings` of
# PostgreSQL, open `ports`, and the messages of `failed` assertions.
{
  configuration ? {
    services.pg-lakebase.enable = true;
  },
  # `specialisation.NAME` on top of it.
  specialisation ? null,
  # Directories with `bin`: of the server, and of everything else.
  postgresql ? "/usr/lib/postgresql/17",
  other ? "/usr",
  # Directory of the scripts that units run.
  scripts ? "/etc/pg-lakebase-test/scripts",
}:

let
  evaluate = import ./evaluate.nix {
    place = name: if lib.hasPrefix "postgresql" name then postgresql else other;
  };
  inherit (evaluate) lib;
  first = evaluate.of [ configuration ];
  config =
    if specialisation == null then
      first
    else
      evaluate.of [
        configuration
        first.specialisation.${specialisation}.configuration
      ];

  # Units as NixOS writes them.
  line =
    key: value: "${key}=${if lib.isBool value then lib.boolToString value else toString value}\n";
  section = lib.mapAttrsToList (key: value: lib.concatMapStrings (line key) (lib.toList value));
  dependencies =
    unit:
    lib.concatStrings (
      lib.mapAttrsToList (name: key: lib.concatMapStrings (line key) unit.${name}) {
        after = "After";
        before = "Before";
        wants = "Wants";
        requires = "Requires";
        bindsTo = "BindsTo";
        partOf = "PartOf";
      }
    );
  head =
    unit:
    "[Unit]\n"
    + lib.optionalString (unit.description != "") (line "Description" unit.description)
    + lib.concatStrings (section unit.unitConfig)
    + dependencies unit;
  install =
    unit:
    lib.optionalString (unit.wantedBy ++ unit.requiredBy != [ ]) (
      "\n[Install]\n"
      + lib.concatMapStrings (line "WantedBy") unit.wantedBy
      + lib.concatMapStrings (line "RequiredBy") unit.requiredBy
    );

  phases = {
    ExecStartPre = "preStart";
    ExecStart = "script";
    ExecStartPost = "postStart";
  };
  scriptName = name: phase: "${name}-${phase}";
  service =
    name: unit:
    let
      path = map (package: "${package}/bin") unit.path ++ [
        "/usr/bin"
        "/bin"
      ];
      variables = lib.filterAttrs (_: value: value != null) unit.environment // {
        PATH = lib.concatStringsSep ":" (lib.unique path);
      };
    in
    head unit
    + "\n[Service]\n"
    + lib.concatStrings (
      lib.mapAttrsToList (key: value: line "Environment" "\"${key}=${value}\"") variables
      ++ lib.mapAttrsToList (
        key: phase:
        lib.optionalString (unit.${phase} != "") (line key "${scripts}/${scriptName name phase}")
      ) phases
      ++ section unit.serviceConfig
    )
    + install unit;
  scriptsOf =
    name: unit:
    lib.mapAttrs' (
      _: phase: lib.nameValuePair (scriptName name phase) "#!/bin/bash\nset -e\n${unit.${phase}}"
    ) (lib.filterAttrs (_: phase: unit.${phase} != "") phases);

  file = text: {
    inherit text;
    mode = "0644";
  };
  enabled = lib.filterAttrs (_: unit: unit.enable);
  tmpfiles = lib.concatStrings (
    lib.concatLists (
      lib.mapAttrsToList (
        path:
        lib.mapAttrsToList (type: entry: "${type} ${path} ${entry.mode} ${entry.user} ${entry.group} - -\n")
      ) (lib.foldl' lib.recursiveUpdate { } (lib.attrValues config.systemd.tmpfiles.settings))
    )
  );
in
{
  files =
    lib.mapAttrs' (
      name: unit: lib.nameValuePair "/etc/systemd/system/${name}.service" (file (service name unit))
    ) (enabled config.systemd.services)
    // lib.mapAttrs' (
      name: unit: lib.nameValuePair "/etc/systemd/system/${name}.target" (file (head unit + install unit))
    ) (enabled config.systemd.targets)
    // lib.mapAttrs' (name: entry: lib.nameValuePair "/etc/${name}" entry) config.environment.etc
    // {
      "/etc/tmpfiles.d/pg-lakebase-test.conf" = file tmpfiles;
    };
  scripts = lib.concatMapAttrs scriptsOf (enabled config.systemd.services);
  users = lib.mapAttrs (_: user: user.group) config.users.users;
  groups = lib.attrNames config.users.groups;
  settings = config.services.postgresql.settings;
  ports = config.networking.firewall.allowedTCPPorts;
  failed = evaluate.failed config;
}
