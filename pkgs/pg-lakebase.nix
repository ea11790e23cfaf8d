# PostgreSQL with the extension and the storage service.
{
  postgresql_17,
  pg-iceberg-am,
}:

postgresql_17.withPackages (_: [ pg-iceberg-am ])
