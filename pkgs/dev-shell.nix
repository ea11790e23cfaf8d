# Everything that `cargo xtask test-all pg17` runs or builds with. It builds its own PostgreSQL, MinIO and emulators from
# source into its cache (PG_LAKEBASE_CACHE), as it does elsewhere.
{
  lib,
  mkShell,
  stdenv,
  rustPlatform,
  cargo,
  rustc,
  clippy,
  rustfmt,
  rust-analyzer,
  cargo-pgrx_0_18_1,
  postgresql-source,
  postgresql_17,
  formatter,
  deadnix,
  bison,
  flex,
  perl,
  bzip2,
  clang,
  pkg-config,
  openssl,
  readline,
  zlib,
  lz4,
  zstd,
  go,
  nodejs,
  azurite,
  fake-gcs-server,
  minio-for-tests,
  jdk17_headless,
  python3,
}:

mkShell {
  packages = [
    cargo
    rustc
    clippy
    rustfmt
    rust-analyzer
    rustPlatform.bindgenHook
    cargo-pgrx_0_18_1

    # PostgreSQL is built with these.
    bison
    flex
    perl
    bzip2
    clang
    pkg-config
    openssl
    readline
    zlib
    lz4
    zstd

    # Object stores.
    go
    nodejs
    azurite
    fake-gcs-server
    minio-for-tests

    # Other engines.
    jdk17_headless
    python3

    formatter
    deadnix
  ];

  env = {
    JAVA_HOME = jdk17_headless.home;
    # Wheels of other engines look for these where distributions have them.
    LD_LIBRARY_PATH = lib.makeLibraryPath [
      stdenv.cc.cc
      zlib
    ];
  };

  shellHook = ''
    : "''${PG_LAKEBASE_CACHE:=''${XDG_CACHE_HOME:-$HOME/.cache}/pg-lakebase}"
    export PG_LAKEBASE_CACHE
    mkdir -p "$PG_LAKEBASE_CACHE/src"
    ln -sfn ${postgresql-source} "$PG_LAKEBASE_CACHE/src/postgresql-17_${postgresql_17.version}.orig.tar.bz2"
  '';
}
