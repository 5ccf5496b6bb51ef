#include "host/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "host/thread.h"

namespace vireo::host {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<Loop> make_loop() { return std::move(*Loop::create()); }

struct Pipe {
  Pipe() {
    int fds[2];
    EXPECT_EQ(::pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    in = Fd(fds[0]);
    out = Fd(fds[1]);
  }
  Fd in, out;
};

TEST(Loop, RunsPostedWorkInOrderOnItsOwnThread) {
  auto loop = make_loop();
  std::string order;
  EXPECT_FALSE(loop->on_thread());
  loop->post([&] {
    EXPECT_TRUE(loop->on_thread());
    order += 'a';
    loop->post([&] {
      order += 'c';
      loop->stop();
    });
  });
  loop->post([&] { order += 'b'; });
  loop->run();
  EXPECT_EQ(order, "abc");
  EXPECT_FALSE(loop->on_thread());
}

TEST(Loop, StopIsSticky) {
  auto loop = make_loop();
  loop->stop();
  loop->run();
  int count = 0;
  loop->post([&] {
    ++count;
    loop->stop();
  });
  loop->run();
  EXPECT_EQ(count, 1);
}

TEST(Loop, TakesWorkFromManyThreads) {
  auto loop = make_loop();
  std::atomic<int> left{4000};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        loop->post([&] {
          if (--left == 0) loop->stop();
        });
      }
    });
  }
  loop->run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(left, 0);
}

TEST(Loop, CallsWatchersAsLongAsTheyWantToHear) {
  auto loop = make_loop();
  Pipe pipe;
  int count = 0;
  std::unique_ptr<Loop::Watcher> watcher = loop->watch(pipe.in.get(), [&](u32 events) {
    EXPECT_EQ(events & EPOLLIN, static_cast<u32>(EPOLLIN));
    if (++count == 3) {
      EXPECT_TRUE(watcher->set_events(0));
      loop->post([&] { loop->stop(); });
    }
  });
  ASSERT_EQ(::write(pipe.out.get(), "x", 1), 1);
  ASSERT_TRUE(watcher->set_events(EPOLLIN));
  loop->run();
  EXPECT_EQ(count, 3) << "level triggered";
}

TEST(Loop, AWatcherWithoutEventsDoesNotHearAHangUp) {
  auto loop = make_loop();
  Pipe pipe;
  int count = 0;
  auto watcher = loop->watch(pipe.in.get(), [&](u32) { ++count; });
  ASSERT_TRUE(watcher->set_events(EPOLLIN));
  ASSERT_TRUE(watcher->set_events(0));
  pipe.out = Fd();
  auto timer = loop->make_timer([&] { loop->stop(); });
  timer->arm(Loop::now_ns() + 5'000'000);
  loop->run();
  EXPECT_EQ(count, 0);
}

TEST(Loop, AWatcherMayGoInItsOwnCallBack) {
  auto loop = make_loop();
  Pipe pipe;
  int count = 0;
  std::unique_ptr<Loop::Watcher> watcher;
  watcher = loop->watch(pipe.in.get(), [&](u32) {
    ++count;
    loop->post([&] { loop->stop(); });
    watcher.reset();
  });
  ASSERT_EQ(::write(pipe.out.get(), "x", 1), 1);
  ASSERT_TRUE(watcher->set_events(EPOLLIN));
  loop->run();
  EXPECT_EQ(count, 1);
}

TEST(Loop, RefusesToWaitForARegularFile) {
  auto loop = make_loop();
  char name[] = "/tmp/vireo-loop-XXXXXX";
  const Fd file(::mkstemp(name));
  ::unlink(name);
  auto watcher = loop->watch(file.get(), [](u32) {});
  EXPECT_FALSE(watcher->set_events(EPOLLIN));
}

TEST(Loop, TimersExpireInTheOrderOfTheirDeadlines) {
  auto loop = make_loop();
  std::string order;
  auto c = loop->make_timer([&] {
    order += 'c';
    loop->stop();
  });
  auto a = loop->make_timer([&] { order += 'a'; });
  auto b = loop->make_timer([&] { order += 'b'; });
  auto never = loop->make_timer([&] { order += '!'; });
  const u64 now = Loop::now_ns();
  c->arm(now + 6'000'000);
  a->arm(now + 20'000'000);
  b->arm(now + 4'000'000);
  never->arm(now + 1'000'000);
  a->arm(now + 2'000'000);
  never->cancel();
  loop->run();
  EXPECT_EQ(order, "abc");
  EXPECT_GE(Loop::now_ns(), now + 6'000'000);
}

TEST(Loop, ATimerMayBeArmedLaterThanBefore) {
  auto loop = make_loop();
  u64 at = 0;
  auto timer = loop->make_timer([&] {
    at = Loop::now_ns();
    loop->stop();
  });
  const u64 now = Loop::now_ns();
  timer->arm(now + 1'000'000);
  timer->arm(now + 10'000'000);
  loop->run();
  EXPECT_GE(at, now + 10'000'000);
}

TEST(Loop, ATimerThatArmsItselfForThePastDoesNotBlockTheRest) {
  auto loop = make_loop();
  std::unique_ptr<Loop::Timer> timer;
  int count = 0;
  timer = loop->make_timer([&] {
    ++count;
    timer->arm(0);
    if (count == 10) loop->post([&] { loop->stop(); });
  });
  timer->arm(0);
  loop->run();
  EXPECT_GE(count, 10);
}

TEST(Loop, ArmingFromAnotherThreadWakesIt) {
  auto loop = make_loop();
  std::thread runner([&] { loop->run(); });
  std::this_thread::sleep_for(5ms);
  std::atomic<bool> expired{false};
  auto timer = loop->make_timer([&] { expired = true; });
  timer->arm(0);
  while (!expired) std::this_thread::sleep_for(100us);
  loop->stop();
  runner.join();
}

TEST(Loop, DestroyingATimerWaitsForItsCallBack) {
  auto loop = make_loop();
  std::thread runner([&] { loop->run(); });
  std::atomic<bool> inside{false}, done{false};
  auto timer = loop->make_timer([&] {
    inside = true;
    std::this_thread::sleep_for(10ms);
    done = true;
  });
  timer->arm(0);
  while (!inside) std::this_thread::yield();
  timer.reset();
  EXPECT_TRUE(done);
  loop->stop();
  runner.join();
}

TEST(Loop, ATimerCancelledByAnotherOfTheSameMomentStaysSilent) {
  auto loop = make_loop();
  int count = 0;
  std::unique_ptr<Loop::Timer> a, b;
  a = loop->make_timer([&] {
    ++count;
    b->cancel();
  });
  b = loop->make_timer([&] {
    ++count;
    a->cancel();
  });
  auto end = loop->make_timer([&] { loop->stop(); });
  a->arm(1);
  b->arm(1);
  end->arm(2);
  loop->run();
  EXPECT_EQ(count, 1);
}

TEST(Loop, TakesSignals) {
  auto loop = make_loop();
  int count = 0;
  ASSERT_TRUE(loop->add_signal(SIGUSR1, [&] { ++count; }));
  ASSERT_TRUE(loop->add_signal(SIGUSR2, [&] { loop->stop(); }));
  ::kill(::getpid(), SIGUSR1);
  ::kill(::getpid(), SIGUSR2);
  loop->run();
  EXPECT_EQ(count, 1);
}

TEST(Loop, UsesNoProcessorTimeWhileItIsIdle) {
  auto loop = make_loop();
  std::thread runner([&] { loop->run(); });
  std::this_thread::sleep_for(5ms);
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  std::this_thread::sleep_for(100ms);
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 3);
  loop->stop();
  runner.join();
}

TEST(Thread, AKickInterruptsASystemCall) {
  install_kick_signal();
  std::atomic<bool> started{false};
  int error = 0;
  std::thread sleeper([&] {
    name_thread("a name that is far too long");
    started = true;
    if (::pause() != 0) error = errno;
  });
  while (!started) std::this_thread::yield();
  std::this_thread::sleep_for(10ms);
  kick_thread(sleeper.native_handle());
  sleeper.join();
  EXPECT_EQ(error, EINTR);
}

}  // namespace
}  // namespace vireo::host
