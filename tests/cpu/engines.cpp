#include "engines.h"

namespace vireo::test {

Result<std::unique_ptr<Engine>> make_engine(std::string_view name, TinyMachine&, unsigned) {
  return fail(ErrorKind::NotFound, "the engine '{}' is not in this build", name);
}

}  // namespace vireo::test
