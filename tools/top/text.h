/*
 * text.h - figures in the few characters that a column has. TOP_UNKNOWN is "-".
 *
 * Sizes and times are cut off, not rounded up: "10G" is never said of what is a byte less.
 * Any thread.
 */
#ifndef GSH_TOOLS_TOP_TEXT_H
#define GSH_TOOLS_TOP_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum { TOP_TEXT_BYTES = 48 };

/* "0", "512B", "1.5K", "99.9M", "139G": at most five characters */
void top_text_bytes(char text[TOP_TEXT_BYTES], uint64_t bytes);
/* millionths as percents: "0.4%", "29.9%", "100%" */
void top_text_share(char text[TOP_TEXT_BYTES], uint64_t ppm);
/* "0", "7.3us", "12ms", "1.2s", "5m03", "3h07", "12d" */
void top_text_time(char text[TOP_TEXT_BYTES], uint64_t ns);
/* the same with a sign */
void top_text_credit(char text[TOP_TEXT_BYTES], int64_t ns);
/* "999", "12k", "3.4M" */
void top_text_count(char text[TOP_TEXT_BYTES], uint64_t count);
/* thousandths: "0.3", "41", "1.2k" */
void top_text_rate(char text[TOP_TEXT_BYTES], uint64_t milli);
/* "GPU-xxxxxxxx-..." */
void top_text_uuid(char text[TOP_TEXT_BYTES], const uint8_t uuid[16]);

#endif
