/* Compares what the header says with what the code and the weights say. */
#include "m.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  static char file[4096];
  FILE *weights = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (!weights || fread(file, 1, sizeof(file) - 1, weights) < 8)
    return 2;
  printf("id: %s\n", strcmp(layer__id, MOE_ID_layer) ? "other" : "same");
  printf("layout: %s\n",
         strstr(file + 8, "\"layout.up\":\"" MOE_LAYOUT_layer__up "\"")
             ? "same"
             : "other");
  return 0;
}
