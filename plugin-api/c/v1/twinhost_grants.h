// What a component may be given if its plugin.ron asks for it (`asks: [Clock]`); plugin-api/wit/grants/v1/grants.wit describes it.

#pragma once

#include <stdint.h>
#include <string.h>

#define TWINHOST_GRANTED(interface, function) __attribute__((import_module("twinhost:grants/" interface "@1.0.0"), import_name(function)))

// Clock: nanoseconds since some moment of the run; nanoseconds since 1970-01-01 00:00 UTC.
TWINHOST_GRANTED("clock", "monotonic") extern uint64_t twinhost_clock_monotonic(void);
TWINHOST_GRANTED("clock", "wall") extern uint64_t twinhost_clock_wall(void);

// Random: 64 random bits, drawn from the run's seed.
TWINHOST_GRANTED("random", "word") extern uint64_t twinhost_random_word(void);

// Log: one line of the host's log.
TWINHOST_GRANTED("log", "line") extern void twinhost_log_text(const char *text, size_t length);
static inline void twinhost_log(const char *line) { twinhost_log_text(line, strlen(line)); }
