#!/bin/sh
# ocf:anycast:@NAME@, see ocf_anycast_@NAME@(7). Made from agents/launcher.sh.
# An interpreter costs more than what most actions do: the metadata is a file, and a recurring monitor that finds everything
# as the monitor before it needs none (docs/decisions/0007-monitors-without-an-interpreter.md).
library=${0%/*}/../../lib/anycast

is_daemon_well() {
    # The health daemon confirmed its verdict "running" on this pool a moment ago, lives, and is not stopped.
    [ -e "$base.running" ] || return 1
    read -r pid start version since until <"${base%/*}/healthd.alive" || return 1
    [ "$version" = "@VERSION@" ] || return 1
    [ /proc/self/ns/net -ef "/proc/$pid/ns/net" ] || return 1
    read -r now rest </proc/uptime && read -r stat <"/proc/$pid/stat" || return 1
    now=${now%.*}${now#*.}
    [ "$since" -le "$now" ] && [ "$now" -le "$until" ] || return 1
    set -f
    set -- ${stat##*) } # the third field of proc_pid_stat(5) and what follows it
    case $1 in [RSD]) [ "${20}" = "$start" ] ;; *) return 1 ;; esac
}

is_address_there() { # NIC ADDRESS/LENGTH
    case $(/sbin/ip -o address show dev "$1" to "$2") in
    *"inet $2 "* | *"inet6 $2 "*) ;;
    *) return 1 ;;
    esac
}

is_table_the_same() { # HEADINGS, an extended regular expression; the lines to be compared with are read
    lines=
    while IFS= read -r line && [ "$line" != good ]; do
        lines="$lines
$line"
    done
    # The services whose headings match, and their real servers, without connection counts.
    [ "$line" = good ] && [ "$lines" = "
$(/bin/sed -nE -e '/^[^ ]/h' -e G -e "/\n$1/!d" -e 's/\n.*//' -e '/^ /s/ *[0-9]* *[0-9]* *$//' -e p /proc/net/ip_vs)" ]
}

is_unchanged() {
    # Only for an ordinary recurring monitor, by the note of a monitor that found everything well (ocfpy/ocf/shortcut.py).
    case ${OCF_RESKEY_CRM_meta_interval-} in '' | 0* | *[!0-9]*) return 1 ;; esac
    case ${OCF_CHECK_LEVEL:-0} in 0) ;; *) return 1 ;; esac
    [ -z "${OCF_TRACE_RA-}${OCF_RESKEY_trace_ra-}${OCF_RESKEY_OCF_CHECK_LEVEL-}" ] || return 1
    [ "${OCF_RESKEY_CRM_meta_globally_unique-}" != true ] || return 1
    key=${OCF_RESOURCE_INSTANCE-}
    case $key in '' | */*) return 1 ;; esac
    case ${key##*:} in "$key" | '' | *[!0-9]*) ;; *) key=${key%:*} ;; esac
    base=${HA_RSCTMP:-/run/resource-agents}/anycast/@NAME@-$key
    [ -e "$base.state" ] && [ -e "$base.shortcut" ] || return 1
    {
        IFS= read -r line || return 1
        [ "$line" = "@PARAMETERS@" ] || return 1
        while read -r fact what; do
            case $fact in
            daemon) is_daemon_well || return 1 ;;
            address) is_address_there "${what%% *}" "${what#* }" || return 1 ;;
            table) is_table_the_same "$what"; return ;;
            good) return 0 ;;
            *) return 1 ;;
            esac
        done
        return 1
    } 2>/dev/null <"$base.shortcut"
}

case $1 in
meta-data) exec /bin/cat "$library/metadata/@NAME@.xml" ;;
monitor) is_unchanged && exit 0 ;;
esac
exec /usr/bin/python3 -IS "$library/agent" @CLASS@ "$@"
