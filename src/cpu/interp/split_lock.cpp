#include <mutex>

#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {
namespace {

std::mutex split_lock;
thread_local bool held = false;

}  // namespace

void SplitLock::acquire() {
  split_lock.lock();
  held = true;
}

void SplitLock::release() {
  held = false;
  split_lock.unlock();
}

void SplitLock::release_after_fault() {
  if (held) release();
}

}  // namespace vireo::cpu::interp
