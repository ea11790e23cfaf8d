# Formatting and unused parts of Nix code, and the page that is made of the module's options.
{
  lib,
  runCommand,
  nixfmt,
  deadnix,
  source,
}:

{
  nix-format = runCommand "nix-format" { nativeBuildInputs = [ nixfmt ]; } ''
    find ${source.nixFiles} -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';

  nix-lint = runCommand "nix-lint" { nativeBuildInputs = [ deadnix ]; } ''
    deadnix --fail --no-lambda-pattern-names ${source.nixFiles}
    touch $out
  '';

  options-page =
    runCommand "options-page"
      {
        wanted = import ../nixos-module/options-page.nix { inherit lib; };
        passAsFile = [ "wanted" ];
      }
      ''
        diff ${../docs/nixos-options.md} $wantedPath
        touch $out
      '';
}
