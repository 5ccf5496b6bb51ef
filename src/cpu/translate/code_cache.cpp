#include "cpu/translate/code_cache.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "cpu/interp/decode.h"
#include "cpu/translate/verify.h"

namespace vireo::cpu::translate {

namespace {

constexpr u64 kThunkBytes = 32 * kKiB;  ///< more than they take
constexpr u64 kBlockBytes = 64 * kKiB;  ///< more than any block takes
constexpr u64 kChunk = u64{1} << vm::GuestMemory::kChunkShift;

}  // namespace

CodeCache::CodeCache(vm::GuestMemory& memory, vm::CodeListener& self, Context& context, const Layout& layout,
                     host::CodeMemory code, const Stress& stress)
    : memory_(memory),
      self_(self),
      context_(context),
      layout_(layout),
      stress_(stress),
      code_(std::move(code)),
      buckets_(kBuckets) {
  Emitter emit(code_.writable(), code_.writable() + kThunkBytes, code_.executable());
  thunks_ = make_thunks(emit, layout_);
  assert(!emit.overflowed());
  first_ = used_ = align_up(static_cast<u64>(emit.at() - code_.executable()), kPageSize);
}

CodeCache::~CodeCache() {
  for (const auto& [page, blocks] : pages_) memory_.remove_code_user(page);
}

void CodeCache::name_blocks_in(host::PerfMap* perf_map) {
  perf_map_ = perf_map;
  if (perf_map_ != nullptr) perf_map_->add(code_.executable(), first_, "translator_thunks");
}

unsigned CodeCache::mode_index(Mode mode) {
  for (unsigned i = 0; i < modes_.size(); ++i) {
    if (modes_[i] == mode) return i;
  }
  if (modes_.size() == kModes) {
    flush();
    modes_.clear();
  }
  modes_.push_back(mode);
  const auto index = static_cast<unsigned>(modes_.size() - 1);
  std::fill_n(context_.jumps[index], kJumpEntries, reinterpret_cast<u64>(thunks_.jump_miss));
  return index;
}

bool CodeCache::nearly_full() const {
  constexpr u32 kPerBlock = 4 * Plan::kMaximum;
  return wants_flush || code_.size() - used_ < kBlockBytes || tables_.slots + kPerBlock > kSlots ||
         tables_.edge_slots + kPerBlock > kEdgeSlots;
}

void CodeCache::flush() {
  for (const auto& [page, blocks] : pages_) memory_.remove_code_user(page);
  pages_.clear();
  std::fill(buckets_.begin(), buckets_.end(), nullptr);
  for (unsigned mode = 0; mode < modes_.size(); ++mode)
    std::fill_n(context_.jumps[mode], kJumpEntries, reinterpret_cast<u64>(thunks_.jump_miss));
  blocks_.clear();
  tables_ = {};
  used_ = first_;
  since_flush_ = 0;
  wants_flush = false;
  if (scattered.size() > 100'000) scattered.clear();
  if (crossing.size() > 100'000) crossing.clear();
  if (in_place.size() > 100'000) in_place.clear();
  if (ungrouped.size() > 100'000) ungrouped.clear();
  ++counters_.flushed;
}

/// Fills the plan's instructions, and the block's extent and generations.
bool CodeCache::decode(interp::Cpu& cpu, Block& block, Mode mode) {
  const u64 first_chunk = align_down(block.offset, kChunk);
  const u64 page_end = align_down(block.offset, kPageSize) + kPageSize;
  const u64 end = std::min(page_end, first_chunk + Block::kChunks * kChunk);
  for (u64 chunk = first_chunk, i = 0; chunk < end; chunk += kChunk, ++i) {
    memory_.enter_code(chunk);
    block.generation[i] = memory_.generation(chunk).load(std::memory_order_acquire);
  }
  u8 bytes[Block::kChunks * kChunk];  // a private copy: the guest may change them while they are decoded
  const auto available = static_cast<unsigned>(end - block.offset);
  std::memcpy(bytes, memory_.base() + block.offset, available);
  unsigned used = 0;
  plan_.count = 0;
  while (plan_.count < Plan::kMaximum && used < available) {
    GuestInsn& insn = plan_.insns[plan_.count];
    if (!describe(cpu, mode, block.rip + used, bytes + used, std::min(available - used, 15u), insn)) break;
    settle_kind(insn, mode.bits & Mode::OddFlags);
    used += insn.length;
    ++plan_.count;
    if (stress_.fallback_every != 0 && plan_.count % stress_.fallback_every == 0) make_helper(insn);
    if (insn.kind == Kind::HelperEnd || insn.kind == Kind::Jump || insn.kind == Kind::Call ||
        insn.kind == Kind::JumpTo || insn.kind == Kind::CallTo || insn.kind == Kind::Return)
      break;
  }
  block.bytes = block.first_bytes = static_cast<u16>(used);
  block.source.assign(bytes, bytes + used);
  return plan_.count != 0;
}

bool CodeCache::decode_crossing(interp::Cpu& cpu, Block& block, Mode mode, u64 second) {
  const auto first = static_cast<unsigned>(kPageSize - (block.offset & kPageMask));
  memory_.enter_code(block.offset);
  memory_.enter_code(second);
  block.generation[0] = memory_.generation(block.offset).load(std::memory_order_acquire);
  block.generation[1] = memory_.generation(second).load(std::memory_order_acquire);
  u8 bytes[15];
  if (first >= sizeof bytes) return false;
  std::memcpy(bytes, memory_.base() + block.offset, first);
  std::memcpy(bytes + first, memory_.base() + second, sizeof bytes - first);
  GuestInsn& insn = plan_.insns[0];
  if (!describe(cpu, mode, block.rip, bytes, sizeof bytes, insn) || insn.length <= first) return false;
  settle_kind(insn, mode.bits & Mode::OddFlags);
  plan_.count = 1;
  block.bytes = insn.length;
  block.first_bytes = static_cast<u16>(first);
  block.second_offset = second;
  block.source.assign(bytes, bytes + insn.length);
  return true;
}

void CodeCache::use_page(u64 page) {
  if (pages_.contains(page)) return;
  memory_.add_code_user(page, &self_);
  self_.page_becomes_code(page);
  pages_.emplace(page, std::vector<Block*>{});
}

/// After a block was taken out of it.
void CodeCache::leave_page(u64 page) {
  const auto found = pages_.find(page);
  if (found == pages_.end() || !found->second.empty()) return;
  pages_.erase(found);
  memory_.remove_code_user(page);
}

Block* CodeCache::translate(interp::Cpu& cpu, u64 rip, u64 offset, Mode mode, unsigned mode_index, const u64* second,
                            bool apart) {
  if (nearly_full() || (stress_.flush_every != 0 && since_flush_ >= stress_.flush_every)) flush();
  ++since_flush_;
  const u64 page = offset >> kPageShift;
  use_page(page);
  if (second != nullptr) use_page(*second >> kPageShift);
  Block& block = blocks_.emplace_back();
  block.rip = rip;
  block.offset = offset;
  block.mode = static_cast<u8>(mode_index);
  block.apart = apart;
  block.no_groups = apart || ungrouped.contains(rip);
  block.code32 = (mode.bits & Mode::Code32) != 0;
  if (second != nullptr ? !decode_crossing(cpu, block, mode, *second) : !decode(cpu, block, mode)) {
    blocks_.pop_back();
    leave_page(page);
    if (second != nullptr) leave_page(*second >> kPageShift);
    return nullptr;
  }
  plan_.make(
      block.no_groups, [&](u64 at) { return stress_.pages_everywhere || scattered.contains(at); },
      [&](u64 at) { return in_place.contains(at); });

  const auto view = mode.user()                              ? SoftTlb::User
                    : mode.bits & Mode::SupervisorUserAccess ? SoftTlb::SupervisorUserAccess
                                                             : SoftTlb::Supervisor;
  u8* const to = code_.writable() + used_;
  Emitter emit(to, code_.writable() + code_.size(), code_.executable() + used_);
  Generator generator(emit, layout_, thunks_, tables_, context_);
  generator.run(
      plan_, mode, view, block,
      [&](unsigned i) {
        const GuestInsn& guest = plan_.insns[i];
        interp::Insn insn;
        (void)interp::decode(cpu, mode.code32() ? interp::CodeMode::Bits32 : interp::CodeMode::Bits64,
                             {guest.bytes, guest.length}, insn);
        return insn;
      },
      [&](u64 at) { return stress_.pages_everywhere || crossing.contains(at); });
  if constexpr (kVerify) {
    if (const auto violation = find_violation(block, block.code, layout_, thunks_, tables_))
      report_violation(block, block.code, *violation);
  }
  if (perf_map_ != nullptr)
    perf_map_->add(block.code, block.code_size, fmt::format("guest_{:016x}_{}", rip, mode.user() ? 'u' : 'k'));
  used_ = align_up(used_ + block.code_size, 16);
  Block*& head = buckets_[bucket(rip)];
  block.next = head;
  head = &block;
  pages_[page].push_back(&block);
  if (block.crossing()) pages_[block.second_offset >> kPageShift].push_back(&block);
  ++counters_.translated;
  counters_.instructions += plan_.count;
  return &block;
}

void CodeCache::link(u32 index, Block& to) {
  Edge& edge = tables_.edges[index];
  const u8* const entry = to.crossing() ? to.via : to.entry;
  if (edge.place != nullptr) {
    store<u32>(edge.place, static_cast<u32>(entry - (edge.place_at + 4)));
  } else {
    context_.edges[edge.slot] = reinterpret_cast<u64>(entry);
  }
  if (edge.to != &to) to.incoming.push_back(index);
  edge.to = &to;
  ++counters_.links;
}

void CodeCache::unlink(Edge& edge) {
  if (edge.place != nullptr) {
    store<u32>(edge.place, static_cast<u32>(edge.stub - (edge.place_at + 4)));
  } else {
    context_.edges[edge.slot] = reinterpret_cast<u64>(edge.stub);
  }
}

void CodeCache::invalidate(Block& block) {
  if (block.dead) return;
  block.dead = true;
  for (const u32 index : block.incoming) {
    Edge& edge = tables_.edges[index];
    if (edge.to != &block) continue;
    unlink(edge);
    edge.to = nullptr;
  }
  block.incoming.clear();
  u64& jump = context_.jumps[block.mode][block.rip % kJumpEntries];
  if (jump == reinterpret_cast<u64>(block.code)) jump = reinterpret_cast<u64>(thunks_.jump_miss);
  for (Block** link = &buckets_[bucket(block.rip)]; *link != nullptr; link = &(*link)->next) {
    if (*link != &block) continue;
    *link = block.next;
    break;
  }
  const auto take_out = [&](u64 page) {
    if (auto found = pages_.find(page); found != pages_.end()) std::erase(found->second, &block);
    leave_page(page);
  };
  take_out(block.offset >> kPageShift);
  if (block.crossing()) take_out(block.second_offset >> kPageShift);
  ++counters_.invalidated;
}

/// Whether the block still is what its guest code says, generations aside: data next to code is written all the time.
bool CodeCache::still_true(Block& block) const {
  u32 now[Block::kChunks] = {};
  unsigned count = 0;
  const auto look = [&](u64 from, u64 bytes) {
    for (u64 chunk = align_down(from, kChunk); chunk < from + bytes; chunk += kChunk)
      now[count++] = memory_.generation(chunk).load(std::memory_order_acquire);
  };
  look(block.offset, block.first_bytes);
  if (block.crossing()) look(block.second_offset, block.bytes - block.first_bytes);
  if (std::equal(now, now + count, block.generation)) return true;
  const u8* source = block.source.data();
  if (std::memcmp(memory_.base() + block.offset, source, block.first_bytes) != 0) return false;
  if (block.crossing() && std::memcmp(memory_.base() + block.second_offset, source + block.first_bytes,
                                      block.bytes - block.first_bytes) != 0)
    return false;
  std::copy_n(now, Block::kChunks, block.generation);
  return true;
}

void CodeCache::check_page(u64 page) {
  const auto found = pages_.find(page);
  if (found == pages_.end()) return;
  const std::vector<Block*> blocks = found->second;
  for (Block* block : blocks) {
    if (!still_true(*block)) invalidate(*block);
  }
}

void CodeCache::drop_page(u64 page) {
  const auto found = pages_.find(page);
  if (found == pages_.end()) return;
  const std::vector<Block*> blocks = found->second;
  for (Block* block : blocks) invalidate(*block);
}

Block* CodeCache::block_at(const u8* at) {
  auto after = std::upper_bound(blocks_.begin(), blocks_.end(), at,
                                [](const u8* value, const Block& block) { return value < block.code; });
  if (after == blocks_.begin()) return nullptr;
  Block& block = *--after;
  return at < block.code + block.code_size ? &block : nullptr;
}

}  // namespace vireo::cpu::translate
