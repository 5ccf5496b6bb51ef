#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace vireo {

std::unexpected<Error> fail_errno(int error_number, std::string_view what) {
  ErrorKind kind = ErrorKind::Failed;
  if (error_number == ENOENT) kind = ErrorKind::NotFound;
  if (error_number == EACCES || error_number == EPERM) kind = ErrorKind::Denied;
  return fail(kind, "{}: {}", what, std::strerror(error_number));
}

}  // namespace vireo
