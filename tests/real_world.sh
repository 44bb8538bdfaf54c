#!/usr/bin/env bash
# Corsair before a real nginx that serves real files, asked by curl, compared byte for byte.
#
#   tests/real_world.sh [driver…]      drivers: io_uring epoll (both when none is named)
#
# Runs unprivileged in a directory of its own on loopback; what it starts, it ends by process id.
# CORSAIR_BIN names the binary (default: the release build). nginx is installed only when CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null
export LC_ALL=C

corsair=${CORSAIR_BIN:-${CARGO_TARGET_DIR:-target}/release/corsair}
drivers=("$@")
((${#drivers[@]})) || drivers=(io_uring epoll)

PATH=$PATH:/usr/sbin
if ! command -v nginx >/dev/null && [[ ${CI:-} == true ]]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light
fi
missing=()
for tool in nginx curl cmp; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})); then
    echo "missing: ${missing[*]}; on Debian: apt-get install nginx-light curl diffutils" >&2
    exit 2
fi
if [[ ! -x $corsair ]]; then
    echo "missing: $corsair; build it with: cargo build --release" >&2
    exit 2
fi

dir=$(mktemp -d)
nginx_pid=
corsair_pid=
stop() {
    local pid=$1 waited=0
    [[ -n $pid ]] && kill -0 "$pid" 2>/dev/null || return 0
    kill -TERM "$pid"
    while kill -0 "$pid" 2>/dev/null && ((waited < 100)); do
        sleep 0.1
        waited=$((waited + 1))
    done
}
clean_up() {
    stop "$corsair_pid"
    stop "$nginx_pid"
    rm -rf "$dir"
}
trap clean_up EXIT

passed=0
failed=0
# ok NAME COMMAND…: counts whether the command succeeds.
ok() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'not ok: %s: %s\n' "$driver" "$name"
        [[ ! -s $dir/head ]] || sed 's/^/    /' "$dir/head"
    fi
}

# ---- the files ------------------------------------------------------------------------------
www=$dir/www
mkdir -p "$www/fonts" "$www/folder" "$dir/tmp"
printf 'hello from a file\n' >"$www/small.txt"
: >"$www/empty.bin"
printf '{"name":"corsair"}\n' >"$www/data.json"
head -c 31234 /dev/urandom >"$www/fonts/face.woff2"
head -c 3000001 /dev/urandom >"$www/video.mp4"
head -c 40000000 /dev/urandom >"$www/stored.bin"
head -c $((200 * 1024 * 1024)) /dev/urandom >"$www/big.bin"
seq 1 50000 >"$www/text.html"
printf 'index\n' >"$www/folder/index.html"

# ---- nginx ----------------------------------------------------------------------------------
start_nginx() {
    local user=
    # As root nginx would give its workers another user, who may not read this directory.
    [[ $(id -u) != 0 ]] || user='user root;'
    for _ in {1..20}; do
        nginx_port=$((20000 + RANDOM % 20000))
        cat >"$dir/nginx.conf" <<CONF
$user
worker_processes 1;
daemon off;
pid $dir/nginx.pid;
error_log $dir/nginx-error.log;
events { worker_connections 512; }
http {
    types { text/html html; text/plain txt; application/json json; font/woff2 woff2; video/mp4 mp4; }
    default_type application/octet-stream;
    access_log $dir/nginx-access.log;
    client_body_temp_path $dir/tmp/body;
    proxy_temp_path $dir/tmp/proxy;
    fastcgi_temp_path $dir/tmp/fastcgi;
    uwsgi_temp_path $dir/tmp/uwsgi;
    scgi_temp_path $dir/tmp/scgi;
    gzip off;
    keepalive_timeout 60s;
    server {
        listen 127.0.0.1:$nginx_port;
        root $www;
        absolute_redirect off;
        location / { add_header Cache-Control "public, max-age=600"; }
        location = /short.txt { alias $www/small.txt; add_header Cache-Control "max-age=1"; }
        location = /private.txt { alias $www/small.txt; add_header Cache-Control "private"; }
    }
}
CONF
        nginx -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx-start.log" &
        nginx_pid=$!
        for _ in {1..50}; do
            if curl -sf -o /dev/null "http://127.0.0.1:$nginx_port/small.txt"; then
                # Somebody else's server on this port would not know our file.
                return 0
            fi
            kill -0 "$nginx_pid" 2>/dev/null || break
            sleep 0.1
        done
        stop "$nginx_pid"
    done
    echo "nginx does not start:" >&2
    cat "$dir/nginx-start.log" >&2
    exit 2
}

# ---- corsair --------------------------------------------------------------------------------
write_config() {
    cat >"$dir/corsair.toml" <<CONF
[node]
name = "edge-1"
driver = "$driver"
workers = 2

[admin]
listen = "127.0.0.1:0"

[[listener]]
address = "127.0.0.1:0"

[cache]
memory = "256MiB"

[[upstream]]
name = "files"
servers = ["http://127.0.0.1:$nginx_port"]

[[site]]
hosts = ["*"]
upstream = "files"

[site.cache]
max_object = "64MiB"
status_ttl = { "404" = "10s" }

[site.cors]
origins = [$1]
expose = ["ETag"]

[[site.header]]
op = "set"
name = "X-Frame-Options"
value = "DENY"
CONF
}

start_corsair() {
    write_config '"https://app.example.com", "https://*.example.org"'
    : >"$dir/corsair.err"
    "$corsair" run -c "$dir/corsair.toml" >"$dir/corsair.out" 2>"$dir/corsair.err" &
    corsair_pid=$!
    for _ in {1..100}; do
        edge=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/http:\/\/\1/p' "$dir/corsair.err" | head -n 1)
        if [[ -n $edge ]] && curl -s -o /dev/null "$edge/empty.bin"; then
            return 0
        fi
        if ! kill -0 "$corsair_pid" 2>/dev/null; then
            break
        fi
        sleep 0.1
    done
    echo "corsair does not start:" >&2
    cat "$dir/corsair.err" >&2
    exit 2
}

# get PATH [curl arguments…]: the answer in $dir/head, $dir/body, $status.
get() {
    local path=$1
    shift
    status=$(curl -sS --max-time 60 -D "$dir/head" -o "$dir/body" -w '%{http_code}' "$@" "$edge$path") || status="curl:$?"
}
field() {
    sed -n "s/^$1: //Ip" "$dir/head" | tr -d '\r'
}
status_is() { [[ $status == "$1" ]]; }
field_is() { [[ $(field "$1") == "$2" ]]; }
has_no() { [[ -z $(field "$1") ]]; }
is_hit() { [[ $(field Cache-Status) == *'; hit'* ]]; }
is_miss() { [[ $(field Cache-Status) == *fwd=*miss* ]]; }
body_is() { cmp -s "$dir/body" "$1"; }
varies() { [[ ", $(field Vary), " == *[Oo]rigin* ]]; }

check_files() {
    local file etag direct name
    for file in small.txt data.json fonts/face.woff2 video.mp4 text.html stored.bin; do
        get "/$file"
        ok "$file: 200" status_is 200
        ok "$file: miss" is_miss
        ok "$file: bytes of a miss" body_is "$www/$file"
        get "/$file"
        ok "$file: hit" is_hit
        ok "$file: bytes of a hit" body_is "$www/$file"
        ok "$file: header operation" field_is X-Frame-Options DENY
        direct=$(curl -sSI "http://127.0.0.1:$nginx_port/$file" | tr -d '\r')
        for name in ETag Last-Modified Content-Type Content-Length Cache-Control Accept-Ranges; do
            ok "$file: $name is nginx's" field_is "$name" "$(sed -n "s/^$name: //Ip" <<<"$direct")"
        done
        etag=$(field ETag)
        get "/$file" -H "If-None-Match: $etag"
        ok "$file: 304 by ETag" status_is 304
        get "/$file" -H "If-None-Match: \"other\""
        ok "$file: 200 by another ETag" status_is 200
        get "/$file" -z "$www/$file"
        ok "$file: 304 by date" status_is 304
        get "/$file" -I
        ok "$file: HEAD is a hit" is_hit
        ok "$file: HEAD has the length" field_is Content-Length "$(stat -c %s "$www/$file")"
    done
    get /empty.bin
    ok "an empty file" body_is "$www/empty.bin"
    get /folder
    ok "a redirect" status_is 301
    ok "its Location" field_is Location /folder/
    get /nowhere
    ok "404" status_is 404
    get /nowhere
    ok "404 again is a hit" is_hit
    get /private.txt
    get /private.txt
    ok "private is no hit" is_miss
    get /text.html -H 'Accept-Encoding: gzip, br'
    ok "nothing is compressed" has_no Content-Encoding
    ok "and nothing changed" body_is "$www/text.html"
    get /small.txt -X POST -d x
    ok "nginx takes no POST" status_is 405
}

# cut FIRST LAST: bytes of the video, both ends included, into $dir/wanted.
cut_video() {
    tail -c "+$(($1 + 1))" "$www/video.mp4" | head -c "$(($2 - $1 + 1))" >"$dir/wanted" || true
}

check_ranges() {
    local size first last
    size=$(stat -c %s "$www/video.mp4")
    for range in 0-0 0-99 1000-1999 65535-65536 1234567-2345678 "$((size - 1))-$((size - 1))" "0-$((size - 1))"; do
        first=${range%-*}
        last=${range#*-}
        cut_video "$first" "$last"
        get /video.mp4 -r "$range"
        ok "range $range: 206" status_is 206
        ok "range $range: place" field_is Content-Range "bytes $first-$last/$size"
        ok "range $range: bytes" body_is "$dir/wanted"
        ok "range $range: hit" is_hit
    done
    get /video.mp4 -r -500
    tail -c 500 "$www/video.mp4" >"$dir/wanted"
    ok "the last 500 bytes" body_is "$dir/wanted"
    get /video.mp4 -r "$((size - 10))-"
    tail -c 10 "$www/video.mp4" >"$dir/wanted"
    ok "from a place to the end" body_is "$dir/wanted"
    get /video.mp4 -r "$size-"
    ok "past the end: 416" status_is 416
    ok "past the end: size" field_is Content-Range "bytes */$size"
    get /video.mp4
    local etag
    etag=$(field ETag)
    cut_video 10 19
    get /video.mp4 -r 10-19 -H "If-Range: $etag"
    ok "If-Range, same" body_is "$dir/wanted"
    get /video.mp4 -r 10-19 -H 'If-Range: "other"'
    ok "If-Range, other" body_is "$www/video.mp4"
    # A download that broke off and goes on.
    head -c 1000000 "$www/video.mp4" >"$dir/resumed"
    curl -sS --max-time 60 -C - -o "$dir/resumed" "$edge/video.mp4"
    ok "a resumed download" cmp -s "$dir/resumed" "$www/video.mp4"
}

check_big() {
    local peak
    get /big.bin
    ok "200 MiB: 200" status_is 200
    ok "200 MiB: every byte" body_is "$www/big.bin"
    curl -sS --max-time 120 -o "$dir/one" "$edge/big.bin" &
    local one=$!
    curl -sS --max-time 120 -o "$dir/two" "$edge/big.bin"
    wait "$one"
    ok "two at once, one" cmp -s "$dir/one" "$www/big.bin"
    ok "two at once, two" cmp -s "$dir/two" "$www/big.bin"
    curl -sS --max-time 120 --http1.0 -o "$dir/one" "$edge/big.bin"
    ok "by HTTP/1.0" cmp -s "$dir/one" "$www/big.bin"
    rm -f "$dir/one" "$dir/two"
    peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$corsair_pid/status")
    # 200 MiB went by four times; the budget is 256 MiB of which 43 MB are used.
    ok "memory stays far below the file ($peak KiB)" test "$peak" -lt $((180 * 1024))
}

check_cors() {
    local app='https://app.example.com' tenant='https://a.b.example.org' evil='https://evil.net'
    get /fonts/face.woff2
    for origin in "$app" "$tenant"; do
        get /fonts/face.woff2 -H "Origin: $origin"
        ok "$origin: hit" is_hit
        ok "$origin: its own answer" field_is Access-Control-Allow-Origin "$origin"
        ok "$origin: exposed" field_is Access-Control-Expose-Headers ETag
        ok "$origin: Vary" varies
        ok "$origin: bytes" body_is "$www/fonts/face.woff2"
        get /fonts/face.woff2 -H "Origin: $origin" -r 0-9
        ok "$origin: on 206" field_is Access-Control-Allow-Origin "$origin"
        get /nowhere -H "Origin: $origin"
        ok "$origin: on 404" field_is Access-Control-Allow-Origin "$origin"
        get /small.txt -H "Origin: $origin" -X OPTIONS -H 'Access-Control-Request-Method: GET'
        ok "$origin: preflight" status_is 204
        ok "$origin: preflight granted" field_is Access-Control-Allow-Origin "$origin"
    done
    for origin in "$evil" null https://app.example.com.evil.net; do
        get /fonts/face.woff2 -H "Origin: $origin"
        ok "$origin: hit" is_hit
        ok "$origin: nothing" has_no Access-Control-Allow-Origin
        ok "$origin: Vary" varies
    done
    get /fonts/face.woff2
    ok "no Origin: nothing" has_no Access-Control-Allow-Origin
    ok "no Origin: Vary" varies
    # The rules change, the stored file does not.
    write_config "\"$evil\""
    kill -HUP "$corsair_pid"
    for _ in {1..50}; do
        get /fonts/face.woff2 -H "Origin: $evil"
        [[ $(field Access-Control-Allow-Origin) != "$evil" ]] || break
        sleep 0.1
    done
    ok "after SIGHUP: the new rule" field_is Access-Control-Allow-Origin "$evil"
    ok "after SIGHUP: still a hit" is_hit
    get /fonts/face.woff2 -H "Origin: $app"
    ok "after SIGHUP: not the old rule" has_no Access-Control-Allow-Origin
}

check_connections() {
    local reused
    reused=$(curl -sSv -o /dev/null -o /dev/null -o /dev/null "$edge/small.txt" "$edge/data.json" "$edge/nowhere" 2>&1 | grep -ci 're-using existing' || true)
    ok "one connection for three requests" test "$reused" = 2
    get /short.txt
    ok "a short lifetime: miss" is_miss
    for _ in {1..40}; do
        get /short.txt
        ! is_hit || { sleep 0.1; continue; }
        break
    done
    ok "a short lifetime: validated" grep -qi 'fwd-status=304' "$dir/head"
    ok "a short lifetime: bytes" body_is "$www/small.txt"
}

start_nginx
for driver in "${drivers[@]}"; do
    before=$failed
    start_corsair
    check_files
    check_ranges
    check_big
    check_connections
    check_cors
    kill -TERM "$corsair_pid"
    code=0
    wait "$corsair_pid" || code=$?
    corsair_pid=
    ok "SIGTERM: exit 0 ($code)" test "$code" = 0
    ok "no panic" test "$(grep -c -e 'internal error in ' -e panicked "$dir/corsair.err" || true)" = 0
    if ((failed > before)); then
        echo "corsair said:"
        sed 's/^/    /' "$dir/corsair.err"
    fi
done
printf 'real world (%s): %d passed, %d failed\n' "${drivers[*]}" "$passed" "$failed"
((failed == 0))
