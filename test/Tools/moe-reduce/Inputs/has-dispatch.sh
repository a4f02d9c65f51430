#!/bin/sh
# The fault: there is a dispatch.
if grep -q moe.dispatch "$1"; then exit 1; else exit 0; fi
