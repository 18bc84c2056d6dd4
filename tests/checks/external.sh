#!/bin/bash
# A check of one's own: is RIP RPORT a web server that is well? Called with VIP VPORT RIP RPORT; IPv6 has brackets.
address=${3#[}
{ exec 3<>"/dev/tcp/${address%]}/$4"; } 2>/dev/null || { echo "connection refused"; exit 1; }
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
read -r answer <&3
case $answer in
    "HTTP/1.1 200 OK"*) ;;
    *) echo "it says ${answer:-nothing}"; exit 1 ;;
esac
