// What translated code calls.
#include <algorithm>

#include "cpu/interp/flags.h"
#include "cpu/interp/host_exec.h"
#include "cpu/translate/translator.h"

namespace vireo::cpu::translate {

using namespace vm::x86;

namespace {

/// So many checks of a site for nothing, and the next translation places them otherwise.
constexpr unsigned kMostFailures = 8;

}  // namespace

u64 Translator::interp_flags() const {
  return interp::merge_flags(cpu_.rflags, static_cast<unsigned>(context_.flags_ax & 0xFFFF));
}

void Translator::give_flags() {
  if (mode().code32()) give_32();
  context_.flags_ax = ((cpu_.rflags & 0xD5) | 2) << 8 | (cpu_.rflags >> 11 & 1);
}

u64 Translator::on_access(Translator* self, u64 index) {
  self->counts_.note(Call::Access);
  Site& site = self->cache_.tables().sites[index];
  const u64 forgotten = self->translations_.forgotten();
  const auto filled = self->translations_.fill(self->cpu_, site, self->view());
  if (filled == Translations::Filled::No) return self->access_slowly(site, true);
  if (filled == Translations::Filled::Crossing) return self->access_crossing(site);
  if (filled == Translations::Filled::Apart) return self->access_slowly(site, false);
  if (filled == Translations::Filled::Scattered) return self->access_scattered(site);
  if (self->translations_.forgotten() == forgotten)
    return filled == Translations::Filled::Once ? reinterpret_cast<u64>(site.passed) : 0;
  self->take_flags();
  self->cpu_.rip = self->rip_of(site);
  return kLeave;
}

/// A write that crosses pages, and does so again and again, is better translated in another way.
u64 Translator::access_crossing(Site& site) {
  const u64 rip = site.block->rip + site.block->boundaries[site.first].guest;
  if (!site.parted && !site.block->dead && ++site.failures == kMostFailures && cache_.crossing.insert(rip).second)
    cache_.invalidate(*site.block);
  return access_slowly(site, true);
}

u64 Translator::on_leave(Translator* self, u64 index) {
  self->counts_.note(Call::Leave);
  const Site& site = self->cache_.tables().sites[index];
  self->take_flags();
  self->cpu_.rip = self->rip_of(site) + static_cast<u64>(site.disp);
  self->counts_.sample(self->cpu_.rip);
  if (site.disp != 0) {  // behind STI
    self->cpu_.event.interrupt_shadow = true;
    self->cpu_.interrupts_enabled();
  }
  return kLeave;
}

Block* Translator::block_at(u64 rip, const Translations::Code& code, bool apart) {
  if (Block* block = cache_.find(rip, code.offset, context_.mode, apart)) return block;
  constexpr u64 kLongest = 15;
  Translations::Code next;
  const bool last32 = mode().code32() && rip > 0xFFFFFFFF - kPageSize;  // nothing follows
  const bool may_cross = (rip & kPageMask) > kPageSize - kLongest && !last32 &&
                         translations_.find_code(cpu_, (rip & ~kPageMask) + kPageSize, next);
  Block* block = may_cross ? cache_.find_crossing(rip, code.offset, next.offset, context_.mode) : nullptr;
  if (block == nullptr) block = translate(rip, code, nullptr, apart);
  if (block == nullptr && may_cross && interpret_next_) block = translate(rip, code, &next.offset, false);
  if (block != nullptr && block->crossing()) {
    translations_.note_jump(context_.mode, rip, code);
    translations_.note_jump(context_.mode, rip, next);
    cache_.set_jump(*block);
  }
  return block;
}

bool Translator::leaves_at_edge() {
  if (!stress_.attention_everywhere) return false;
  if (entering_) {
    entering_ = false;
    return false;
  }
  cpu_.attention.store(true, std::memory_order_relaxed);
  return true;
}

u64 Translator::on_link(Translator* self, u64 index) {
  self->counts_.note(Call::Link);
  CodeCache& cache = self->cache_;
  const u64 target = cache.tables().edges[index].target;
  self->take_flags();
  self->cpu_.rip = target;
  if (self->leaves_at_edge()) return kLeave;
  if (self->cpu_.attention.load(std::memory_order_relaxed)) return kLeave;
  Translations::Code code;
  if (!self->translations_.find_code(self->cpu_, target, code)) {
    self->interpret_next_ = true;
    return kLeave;
  }
  const u64 flushed = cache.counters().flushed;
  Block* block = self->block_at(target, code, cache.tables().edges[index].apart);
  if (block == nullptr) return kLeave;
  if (cache.counters().flushed != flushed) return reinterpret_cast<u64>(block->entry);
  const Edge& edge = cache.tables().edges[index];
  if (edge.place != nullptr) {
    if (edge.from->dead || (edge.from->offset ^ code.offset) >> kPageShift != 0)
      return reinterpret_cast<u64>(block->entry);
  } else {
    self->translations_.note_edge(edge.slot, edge.stub, code);
  }
  cache.link(static_cast<u32>(index), *block);
  return reinterpret_cast<u64>(block->entry);
}

u64 Translator::on_jump(Translator* self, u64) {
  self->counts_.note(Call::Jump);
  self->take_flags();
  const u64 target = self->cpu_.rip = self->context_.target;
  if (self->leaves_at_edge()) return kLeave;
  if (self->cpu_.attention.load(std::memory_order_relaxed)) return kLeave;
  Translations::Code code;
  if (!self->translations_.find_code(self->cpu_, target, code)) {
    self->interpret_next_ = true;
    return kLeave;
  }
  Block* block = self->block_at(target, code, false);
  if (block == nullptr) return kLeave;
  if (!block->crossing() && !self->stress_.attention_everywhere) {
    self->translations_.note_jump(self->context_.mode, target, code);
    self->cache_.set_jump(*block);
  }
  return reinterpret_cast<u64>(block->entry);
}

bool Translator::may_go_on() const {
  return !cpu_.halt_requested && !cpu_.careful && !cpu_.attention.load(std::memory_order_relaxed) &&
         !cpu_.host_exec->wants_flush;
}

/// Behind an instruction that C++ has executed: at `boundary` of the same block, if everything is as it was.
u64 Translator::go_on(const Block& block, unsigned boundary, u64 forgotten) {
  if (translations_.forgotten() != forgotten)  // and the block may be gone, with the whole cache
    return go_anywhere();
  if (cpu_.block_ended || boundary >= block.boundaries.size() || block.dead ||
      cpu_.rip != block.rip + block.boundaries[boundary].guest)
    return go_anywhere();
  if (!may_go_on() || !begin_code()) return kLeave;
  give_flags();
  return reinterpret_cast<u64>(host_of(block, boundary));
}

u64 Translator::go_anywhere() {
  if (!may_go_on() || interpret_next_ || !translatable() || stress_.forget_everywhere) return kLeave;
  cpu_.event.interrupt_shadow = false;  // as in run_code()
  enter_mode();
  if (cpu_.sys.cr4 & cr4::TSD) context_.tsc_by_helper = true;
  if (!begin_code()) return kLeave;
  entering_ = true;
  give_flags();
  context_.target = cpu_.rip;
  return context_.jumps[context_.mode][cpu_.rip % kJumpEntries];
}

/// `failed`: nor will the check that stands there let it pass the next time, perhaps.
u64 Translator::access_slowly(Site& site, bool failed) {
  take_flags();
  end_code();
  Block& block = *site.block;
  const unsigned boundary = site.boundary;
  const bool alone = site.alone;
  const bool moved = site.first != site.boundary;
  cpu_.rip = rip_of(site);
  const u64 forgotten = translations_.forgotten();
  if (site.write) note_code_written(site);
  ++counts_.slow_accesses;
  execute_at_rip(&counts_.accesses);
  // No fault: the check asks for what the instruction does not. (After a flush of the cache there is no site.)
  if (failed && !alone && translations_.forgotten() == forgotten && ++site.failures == kMostFailures) {
    ++counts_.ungrouped;
    if (moved) {
      cache_.in_place.insert(block.rip + block.boundaries[site.first].guest);
    } else {
      cache_.ungrouped.insert(block.rip);
    }
    cache_.invalidate(block);
  }
  return alone ? go_on(block, boundary + 1, forgotten) : kLeave;
}

/// A page that is written more than it is run from is no code any more: what was translated from it goes. Should it be
/// run after all, it takes twice as many writes the next time.
void Translator::note_code_written(const Site& site) {
  Translations::Code place;
  if (!translations_.find_data(cpu_, site, place)) return;
  const u64 page = place.offset >> kPageShift;
  if (cpu_.memory.code_users(page) == 0) return;
  CodeWrites& writes = code_writes_[page];
  if (++writes.count < writes.limit) return;
  writes = {.count = 0, .limit = std::min(writes.limit * 2, 1u << 16)};
  cpu_.memory.tell_code_unwanted(page);
}

/// The slot is filled, but it will not last: better translate again with another check.
u64 Translator::access_scattered(Site& site) {
  take_flags();
  cpu_.rip = rip_of(site);
  ++counts_.scattered;
  cache_.scattered.insert(site.block->rip + site.block->boundaries[site.first].guest);
  cache_.invalidate(*site.block);
  return kLeave;
}

u64 Translator::on_helper(Translator* self, u64 index) {
  self->counts_.note(Call::Helper);
  self->take_flags();
  self->end_code();
  const Helper& helper = self->cache_.tables().helpers[index];
  interp::Cpu& cpu = self->cpu_;
  const Block& block = *helper.block;
  const Boundary& boundary = block.boundaries[helper.boundary];
  const u64 forgotten = self->translations_.forgotten();
  const unsigned next = helper.boundary + 1u;
  const unsigned from = self->context_.mode;
  const u64 flags_before = cpu.rflags;
  const u16 mnemonic = helper.insn.mnemonic;
  const u64 flushed = self->cache_.counters().flushed;
  cpu.rip = block.rip + boundary.guest;
  cpu.next_rip = cpu.rip + helper.insn.length;
  cpu.block_ended = false;
  ++self->counts_.helpers[mnemonic];
  helper.insn.handler(cpu, helper.insn);
  cpu.rip = cpu.next_rip & cpu.rip_mask;
  self->context_.reload_vectors = false;  // whoever uses them behind a helper looks first
  const u64 where = self->go_on(block, next, forgotten);
  if (where != kLeave && self->cache_.counters().flushed == flushed) self->learn_crossing(mnemonic, from, flags_before);
  return where;
}

u64 Translator::on_fault(Translator* self, u64) {
  self->counts_.note(Call::Fault);
  self->take_flags();
  self->end_code();
  self->execute_at_rip(&self->counts_.alone);
  return kLeave;
}

Block* Translator::translate(u64 rip, const Translations::Code& code, const u64* second, bool apart) {
  end_code();
  const u64 flushed = cache_.counters().flushed;
  Block* block = cache_.translate(cpu_, rip, code.offset, mode(), context_.mode, second, apart);
  if (cache_.counters().flushed != flushed) forget_all_code();
  interpret_next_ = block == nullptr;
  if (interpret_next_) return nullptr;
  if (!begin_code()) {
    // Somebody's request was carried out first. If it took this block away, dispatch finds another.
    if (block->dead || !begin_code()) return nullptr;
  }
  return block;
}

}  // namespace vireo::cpu::translate
