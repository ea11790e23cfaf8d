# A private cluster of the user who runs this: where it is, and starting it. Read in by the programs that use it.

directory=${PG_LAKEBASE_DIRECTORY:-${XDG_STATE_HOME:-$HOME/.local/state}/pg-lakebase}
PGDATA=$directory/data
# The path of a socket has 107 bytes at most, and that of the directory may be longer.
PGHOST=${XDG_RUNTIME_DIR:-/tmp}/pg-lakebase-$(id -u)
PGPORT=${PG_LAKEBASE_PORT:-5432}
PGUSER=postgres
PGDATABASE=${PGDATABASE:-postgres}
export PGDATA PGHOST PGPORT PGUSER PGDATABASE

start_cluster() {
    if [ "$(id -u)" = 0 ]; then
        echo "PostgreSQL does not run as root: be another user." >&2
        exit 1
    fi
    if [ ! -e "$directory" ]; then
        mkdir -p "$directory"
        chmod 700 "$directory"
    fi
    if ! mkdir -m 700 "$PGHOST" 2>/dev/null && [ ! -O "$PGHOST" ]; then
        echo "$PGHOST belongs to somebody else." >&2
        exit 1
    fi
    if [ ! -e "$PGDATA/PG_VERSION" ]; then
        if [ -e "$PGDATA" ] && ! rmdir "$PGDATA"; then
            echo "$PGDATA holds something else than a cluster: set PG_LAKEBASE_DIRECTORY to another directory." >&2
            exit 1
        fi
        # Of a start that was interrupted.
        rm -rf "$PGDATA.new"
        initdb --pgdata="$PGDATA.new" --username=postgres --auth=peer --locale-provider=builtin \
            --builtin-locale=C.UTF-8 --locale=C --encoding=UTF8 --no-instructions >"$directory/initdb.log"
        cat >>"$PGDATA.new/postgresql.conf" <<-'END'
			shared_preload_libraries = 'pg_iceberg_am'
			max_worker_processes = 16
			listen_addresses = ''
		END
        printf 'mine %s postgres\n' "$(id -un)" >"$PGDATA.new/pg_ident.conf"
        echo 'local all all peer map=mine' >"$PGDATA.new/pg_hba.conf"
        mv "$PGDATA.new" "$PGDATA"
    fi
    if ! pg_ctl status >/dev/null; then
        pg_ctl start --wait --silent --log="$directory/log" \
            --options="-k '$PGHOST' -p $PGPORT"
    fi
    psql --quiet --set=ON_ERROR_STOP=1 --command='SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS pg_iceberg_am'
}
