# The packages as attributes of a nixpkgs. Their names stand here, since nixpkgs asks for them before it has anything else.
final: _prev:

let
  ours = import ./. { pkgs = final; };
in
{
  inherit (ours)
    cargo-pgrx_0_18_1
    pg-iceberg-am
    pg-lakebase
    pg-lakebase-psql
    pg-lakebase-storage
    ;
  pg-lakebase-container = ours.container;
  pg-lakebase-quickstart = ours.quickstart;
}
