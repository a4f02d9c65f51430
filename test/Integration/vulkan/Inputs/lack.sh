#!/usr/bin/env bash
# Calls a program with a driver that lacks something, for each thing.
#
# usage: lack.sh folder-of-the-driver program module.spv
export LD_LIBRARY_PATH="$1"
shift
for what in "loader 1.2" vkCreateInstance vkGetPhysicalDeviceFeatures2 devices 1.2 \
    shaderInt64 everything queue vkWaitForFences; do
  LACKS="$what" "$@"
done
exit 0
