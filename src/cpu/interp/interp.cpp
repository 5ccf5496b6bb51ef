#include "cpu/interp/interp.h"

#include "cpu/interp/block_cache.h"
#include "cpu/interp/run_loop.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

class Interpreter final : public RunLoop {
 public:
  explicit Interpreter(const vm::VcpuSetup& setup) : RunLoop(setup), blocks_(setup.memory) {}
  vm::Stats stats() override;

 private:
  void run_code() override;
  void drop_decoded() override { blocks_.clear(); }
  void run_block(const Block& block);
  const Block* block_at_rip();

  BlockCache blocks_;
};

std::unique_ptr<vm::Vcpu> make_interpreter(const vm::VcpuSetup& setup) { return std::make_unique<Interpreter>(setup); }

void Interpreter::run_code() {
  while (!cpu_.attention.load(std::memory_order_relaxed)) {
    const Block* block = block_at_rip();
    cpu_.event.interrupt_shadow = false;  // nothing waits: what comes from now on comes after the shadow
    if (block == nullptr) {
      execute_at_rip();
    } else {
      run_block(*block);
    }
    if (take_halt() || cpu_.careful) return;
  }
}

void Interpreter::run_block(const Block& block) {
  cpu_.block_ended = false;
  const Insn* insn = block.begin();
  const Insn* const end = insn + block.count;
  do {
    cpu_.next_rip = cpu_.rip + insn->length;
    insn->handler(cpu_, *insn);
    cpu_.rip = cpu_.next_rip;
    ++insn;
  } while (insn != end && !cpu_.block_ended);
}

const Block* Interpreter::block_at_rip() {
  flush_if_wanted();
  cpu_.rip &= cpu_.rip_mask;
  // Never 0, which an empty shortcut has.
  const u64 key = cpu_.tlb_epoch << 8 | raw(cpu_.mode) << 4 | (cpu_.cpl == 3 ? 2 : 0) | 1;
  if (cpu_.code64()) {
    if (const Block* block = blocks_.recall(cpu_.rip, key)) [[likely]]
      return block;
  }
  const u64 va = cpu_.code64() ? cpu_.rip : static_cast<u32>(cpu_.rip + cpu_.sys.segment[CS].base);
  const u8* host = cpu_.tlb.execute(cpu_.execute_view(), va);
  if (host == nullptr) [[unlikely]] {
    if (!cpu_.code64() && cpu_.rip > cpu_.sys.segment[CS].limit) cpu_.raise(Vector::GP, 0);
    const u64 gpa = cpu_.translate(va, Access::Execute, cpu_.cpl == 3, CS);
    host = cpu_.memory.at(gpa, 1);
    if (host == nullptr) return nullptr;
  }
  Block* block = blocks_.find(cpu_, static_cast<u64>(host - cpu_.ram_base_), cpu_.mode);
  if (block == nullptr) return nullptr;
  if (cpu_.code64()) {
    blocks_.remember(cpu_.rip, key, block);
    return block;
  }
  return cpu_.rip + block->bytes - 1 <= cpu_.sys.segment[CS].limit ? block : nullptr;
}

vm::Stats Interpreter::stats() {
  vm::Stats stats = RunLoop::stats();
  stats.counters.push_back({"translations", blocks_.counters().built});
  stats.counters.push_back({"cache_flushes", blocks_.counters().cleared});
  return stats;
}

}  // namespace vireo::cpu::interp
