# Makes a cluster in an empty volume, and becomes the server. What is given beside it are arguments of the server's.
#
# POSTGRES_PASSWORD, or POSTGRES_PASSWORD_FILE, is the password of `postgres` for connections from outside of the container;
# without one there are none.

if [ ! -e "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    # Of a first start that was interrupted: whatever is there, it has made.
    new=$PGDATA/pg-lakebase.new
    if [ -e "$new" ]; then
        find "$PGDATA" -mindepth 1 ! -name lost+found -delete
    elif [ -n "$(find "$PGDATA" -mindepth 1 ! -name lost+found -print -quit)" ]; then
        echo "$PGDATA is not empty, and holds no cluster." >&2
        exit 1
    fi
    mkdir "$new"
    chmod 700 "$PGDATA"
    password=${POSTGRES_PASSWORD:-}
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        password=$(cat "$POSTGRES_PASSWORD_FILE")
    fi
    if [[ $password == *$'\n'* ]]; then
        echo "The password has more than one line." >&2
        exit 1
    fi
    arguments=()
    listen=
    if [ -n "$password" ]; then
        listen='*'
        # Not in the volume.
        file=$(mktemp)
        printf '%s\n' "$password" >"$file"
        arguments+=(--pwfile="$file")
    fi
    initdb --pgdata="$new" --username=postgres --auth-local=peer --auth-host=scram-sha-256 --locale-provider=builtin \
        --builtin-locale=C.UTF-8 --locale=C --encoding=UTF8 --no-instructions "${arguments[@]}"
    rm -f "${file:-}"
    cat >>"$new/postgresql.conf" <<END
listen_addresses = '$listen'
shared_preload_libraries = 'pg_iceberg_am'
max_worker_processes = 16
END
    if [ -n "$password" ]; then
        echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
    fi
    printf '%s\n' 'CREATE EXTENSION pg_iceberg_am' |
        postgres --single -D "$new" -c exit_on_error=true postgres >/dev/null
    # What makes it a cluster comes last.
    find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    mv "$new/PG_VERSION" "$PGDATA"
    rmdir "$new"
fi
unset POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE password
exec postgres "$@"
