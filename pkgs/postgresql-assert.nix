# PostgreSQL 17 with assertions and injection points, for tests.
{ postgresql_17 }:

postgresql_17.overrideAttrs (old: {
  pname = "postgresql-assert";
  configureFlags = old.configureFlags ++ [
    "--enable-cassert"
    "--enable-injection-points"
  ];
  # Modules that tests alone use are not part of the world.
  postInstall = ''
    make -C src/test/modules/injection_points install
    make -C src/test/isolation install
  ''
  + old.postInstall;
  # It is slow, and its own tests are somebody else's.
  doInstallCheck = false;
})
