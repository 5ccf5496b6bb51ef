#include "vmm/run.h"
namespace vireo::vmm {
Result<int> run(const Config&) { return 0; }
}  // namespace vireo::vmm
