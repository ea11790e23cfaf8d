# PostgreSQL's source as a distribution packages it. `cargo xtask` takes it and builds a PostgreSQL that it can install the
# extension into, which is not possible in the store.
{
  runCommand,
  postgresql_17,
}:

runCommand "postgresql-17_${postgresql_17.version}.orig.tar.bz2"
  {
    inherit (postgresql_17) src;
    top = "postgresql-${postgresql_17.version}";
  }
  ''
    if [ -d $src ]; then
      cp -r --no-preserve=mode,ownership $src $top
      chmod +x $top/configure
      find $top \( -name '*.sh' -o -name '*.pl' -o -name install-sh -o -name config.guess -o -name config.sub \) \
        -exec chmod +x {} +
    else
      mkdir $top
      tar --extract --file=$src --directory=$top --strip-components=1
    fi
    tar --create --bzip2 --sort=name --owner=0 --group=0 --mtime=@1 --file=$out $top
  ''
