#!/bin/sh
# Every record that was accepted is stored.
accepted=$(cat data/accepted 2>/dev/null | wc -l)
stored=$(cat data/stored 2>/dev/null | wc -l)
[ "$accepted" -eq "$stored" ] && exit 0
echo "$accepted records were accepted, $stored are stored"
exit 1
