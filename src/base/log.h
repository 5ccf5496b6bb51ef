// The log: lines for the person who runs the machine, on standard error, one thread-safe sink.
//
// A guest can make a device log; whatever a guest can repeat goes through `LogOnce` or a counter.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <string_view>
#include <utility>

namespace vireo::log {

enum class Level { Debug, Info, Warning, Error };

/// Lines below `level` are dropped. Default: Warning.
void set_level(Level level);
bool enabled(Level level);
void write(Level level, std::string_view line);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::Debug)) write(Level::Debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::Info)) write(Level::Info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::Warning)) write(Level::Warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::Error)) write(Level::Error, fmt::format(format, std::forward<Args>(args)...));
}

/// True the first time it is asked: `static log::Once once; if (once.first()) log::warning(...)`.
class Once {
 public:
  bool first() { return !done_.exchange(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> done_{false};
};

}  // namespace vireo::log
