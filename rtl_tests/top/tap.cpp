// What tap.sv writes its lines with.
#include <cstdint>
#include <cstdio>

extern "C" {

void *tap_open(const char *path) { return std::fopen(path, "w"); }

// The lowest hex digits of a value; behind a line's last ones a new line.
void tap_write(void *file, uint64_t value, int32_t digits, unsigned char last) {
    char text[17];
    for (int n = digits - 1; n >= 0; n--, value >>= 4)
        text[n] = "0123456789abcdef"[value & 15];
    text[digits] = '\n';
    fwrite_unlocked(text, 1, digits + last, static_cast<std::FILE *>(file));
}

void tap_close(void *file) { std::fclose(static_cast<std::FILE *>(file)); }
}
