#!/bin/sh
# Makes a man page of a tool's --help.
#
# usage: man-page.sh HELP2MAN TOOL PAGE.1
set -eu
# The second paragraph of the help is what the tool does.
purpose=$("$2" --help | sed -n '3,/^$/p' | tr '\n' ' ' | sed 's/\. *$//')
"$1" --no-info --manual=MoE-MLIR --name="$purpose" -o "$3" "$2"
