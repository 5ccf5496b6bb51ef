// Errors that a person gets to read. A message says what failed, why, and what to do, in one or two lines.
#pragma once

#include <fmt/core.h>

#include <expected>
#include <string>
#include <utility>

namespace vireo {

/// The kinds are the exit codes of the command (docs: "Exit codes").
enum class ErrorKind : int {
  Failed = 1,      ///< the host said no, or something broke
  Usage = 2,       ///< command line, configuration or input file is wrong
  NotFound = 3,    ///< a file or object that was named does not exist
  WrongState = 4,  ///< right request, wrong moment
  Denied = 5,      ///< permission
};

struct Error {
  ErrorKind kind = ErrorKind::Failed;
  std::string message;
};

template <class T = void>
using Result = std::expected<T, Error>;

template <class... Args>
std::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{kind, fmt::format(format, std::forward<Args>(args)...)});
}

/// Error for a failed system call: kind by errno (ENOENT NotFound, EACCES and EPERM Denied, else Failed),
/// message "<what>: <strerror>".
std::unexpected<Error> fail_errno(int error_number, std::string_view what);

}  // namespace vireo

#define VIREO_CONCAT2(a, b) a##b
#define VIREO_CONCAT(a, b) VIREO_CONCAT2(a, b)

/// `TRY(expression);` returns the error of a failed Result<> from the calling function.
#define TRY(expression)                                      \
  do {                                                       \
    if (auto try_result = (expression); !try_result) {       \
      return std::unexpected(std::move(try_result).error()); \
    }                                                        \
  } while (false)

/// `TRY_ASSIGN(auto value, expression);` the same, and binds the value.
#define TRY_ASSIGN(declaration, expression) TRY_ASSIGN_IN(VIREO_CONCAT(try_result_, __LINE__), declaration, expression)
#define TRY_ASSIGN_IN(temporary, declaration, expression)               \
  auto temporary = (expression);                                        \
  if (!temporary) return std::unexpected(std::move(temporary).error()); \
  declaration = std::move(*temporary)
