# `services.pg-lakebase`: PostgreSQL with Iceberg tables, and the storage service beside it.
{
  imports = [
    ./options.nix
    ./assertions.nix
    ./postgresql.nix
    ./storage.nix
    ./setup.nix
  ];
}
