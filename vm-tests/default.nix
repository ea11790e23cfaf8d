# The scenarios by name, as tests for the NixOS test driver.
{ lib, testers }:

lib.genAttrs [
  "basics"
  "minio"
  "azurite"
  "gcs"
  "standby"
  "crash"
  "backup"
  "engines"
] (name: testers.runNixOSTest (import (./. + "/${name}.nix")))
