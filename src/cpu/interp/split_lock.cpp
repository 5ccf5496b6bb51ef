#include <mutex>

#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {
namespace {
std::mutex split_lock;
}

void SplitLock::acquire() { split_lock.lock(); }
void SplitLock::release() { split_lock.unlock(); }

}  // namespace vireo::cpu::interp
