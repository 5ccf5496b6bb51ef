// Prints what input devices report, static: evread NAME... opens those of these names, says so, and prints
// "NAME: TYPE CODE VALUE" for each event but synchronizations.
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int count, char** names) {
  struct pollfd devices[8];
  const char* name_of[8];
  int found = 0;
  for (int wanted = 1; wanted < count && found < 8; ++wanted) {
    for (int number = 0; number < 32; ++number) {
      char path[40], name[100] = "";
      snprintf(path, sizeof path, "/dev/input/event%d", number);
      const int device = open(path, O_RDONLY);
      if (device < 0) continue;
      if (ioctl(device, EVIOCGNAME(sizeof name), name) >= 0 && strcmp(name, names[wanted]) == 0) {
        devices[found] = (struct pollfd){device, POLLIN, 0};
        name_of[found++] = names[wanted];
        struct input_absinfo range;
        if (ioctl(device, EVIOCGABS(ABS_X), &range) == 0) printf("%s: %d..%d\n", name, range.minimum, range.maximum);
        break;
      }
      close(device);
    }
  }
  printf("EVREAD %d\n", found);
  fflush(stdout);
  while (poll(devices, (nfds_t)found, -1) > 0) {
    for (int i = 0; i < found; ++i) {
      struct input_event event;
      if (devices[i].revents == 0 || read(devices[i].fd, &event, sizeof event) != sizeof event) continue;
      if (event.type != EV_SYN) printf("%s: %d %d %d\n", name_of[i], event.type, event.code, event.value);
      fflush(stdout);
    }
  }
  return 1;
}
