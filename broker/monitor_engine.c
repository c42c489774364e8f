/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only file that includes libcurl. Asks the engine's health page while the VM runs on this host, within
 * the loop: nothing here waits, names are resolved in libcurl's own thread. Good is 200 with `DB Up` in the
 * body, from the place asked: no redirect, no proxy. Called by its timers and by libcurl. */
#include "broker/monitor.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/health_page.h"
#include "util/log.h"

#define EAGER_MS 2000 /* until it is good: who waits for the engine to come up should not wait for us */
#define ELSEWHERE_SLACK_MS 1000

struct monitor_engine {
	struct timer timer; /* first: the next question */
	struct timer curl_timer;
	struct loop *loop;
	char *url, *ca_file;
	int64_t timeout_ms, period_ms;
	bool (*here)(void *data);
	struct sink sink;
	CURLM *multi;
	CURL *easy; /* a question is under way */
	char body[HEALTH_PAGE_MAX];
	size_t length;
	bool was_here, good;
	CURLcode said; /* the last failure that was logged */
};

static void check_ended(struct monitor_engine *monitor);

static struct clock_port *clock_of(struct monitor_engine *monitor)
{
	return loop_clock(monitor->loop);
}

static void descriptor_ready(int fd, short revents, void *data)
{
	struct monitor_engine *monitor = data;
	int what = (revents & POLLIN ? CURL_CSELECT_IN : 0) | (revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
		   (revents & (POLLERR | POLLHUP) ? CURL_CSELECT_ERR | CURL_CSELECT_IN : 0);
	int running;

	curl_multi_socket_action(monitor->multi, fd, what, &running);
	check_ended(monitor);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *known)
{
	struct monitor_engine *monitor = data;
	short events = (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));

	if (known)
		loop_del_fd(monitor->loop, fd);
	if (what == CURL_POLL_REMOVE || loop_add_fd(monitor->loop, fd, events, descriptor_ready, monitor) < 0)
		curl_multi_assign(monitor->multi, fd, NULL);
	else
		curl_multi_assign(monitor->multi, fd, monitor);
	return 0;
}

static int watch_time(CURLM *multi, long ms, void *data)
{
	struct monitor_engine *monitor = data;
	struct clock_port *clock = clock_of(monitor);

	clock->set(clock, &monitor->curl_timer, ms < 0 ? MONO_NEVER : mono_add(clock->now(clock), ms));
	return 0;
}

static void curl_timer_fired(struct timer *timer)
{
	struct monitor_engine *monitor =
		(struct monitor_engine *)((char *)timer - offsetof(struct monitor_engine, curl_timer));
	int running;

	curl_multi_socket_action(monitor->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	check_ended(monitor);
}

static size_t take_body(char *data, size_t size, size_t n, void *user)
{
	struct monitor_engine *monitor = user;
	size_t room = sizeof(monitor->body) - monitor->length, take = size * n < room ? size * n : room;

	memcpy(monitor->body + monitor->length, data, take);
	monitor->length += take;
	return take; /* less than came: it is read no further */
}

static void forget_question(struct monitor_engine *monitor)
{
	if (!monitor->easy)
		return;
	curl_multi_remove_handle(monitor->multi, monitor->easy);
	curl_easy_cleanup(monitor->easy);
	monitor->easy = NULL;
}

static void check_ended(struct monitor_engine *monitor)
{
	CURLMsg *message;
	CURLcode result;
	long status = 0;
	bool good;
	int left;

	message = curl_multi_info_read(monitor->multi, &left);
	if (!message || message->msg != CURLMSG_DONE)
		return;
	result = message->data.result;
	curl_easy_getinfo(monitor->easy, CURLINFO_RESPONSE_CODE, &status);
	forget_question(monitor);
	if (result == CURLE_WRITE_ERROR && monitor->length == sizeof(monitor->body))
		result = CURLE_OK;
	good = result == CURLE_OK && health_page_good(status, monitor->body, monitor->length);
	if (result != monitor->said || good != monitor->good)
		log_info("engine health %s status=%ld: %s", good ? "good" : "bad", status,
			 result == CURLE_OK ? "answered" : curl_easy_strerror(result));
	monitor->good = good;
	monitor->said = result;
	monitor->sink.sample(monitor->sink.data, MONITOR_ENGINE_HEALTH, true,
			     monitor->good ? HEALTH_GOOD : HEALTH_BAD);
}

/* Only where the VM has been: what the libraries behind libcurl keep is a tenth of the broker's memory. */
static bool multi_ready(struct monitor_engine *monitor)
{
	if (monitor->multi)
		return true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return false;
	monitor->multi = curl_multi_init();
	if (!monitor->multi)
		return false;
	curl_multi_setopt(monitor->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(monitor->multi, CURLMOPT_SOCKETDATA, monitor);
	curl_multi_setopt(monitor->multi, CURLMOPT_TIMERFUNCTION, watch_time);
	curl_multi_setopt(monitor->multi, CURLMOPT_TIMERDATA, monitor);
	return true;
}

static void ask(struct monitor_engine *monitor)
{
	CURL *easy = multi_ready(monitor) ? curl_easy_init() : NULL;

	if (!easy) {
		monitor->sink.sample(monitor->sink.data, MONITOR_ENGINE_HEALTH, false, -1);
		return;
	}
	monitor->easy = easy;
	monitor->length = 0;
	curl_easy_setopt(easy, CURLOPT_URL, monitor->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)monitor->timeout_ms);
	/* A VM that boots drops the first packets; the next question finds it sooner than their repetition.
	 */
	if (!monitor->good && monitor->timeout_ms > EAGER_MS)
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)EAGER_MS);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, monitor);
	if (monitor->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, monitor->ca_file);
	if (curl_multi_add_handle(monitor->multi, easy) != CURLM_OK) {
		curl_easy_cleanup(easy);
		monitor->easy = NULL;
		monitor->sink.sample(monitor->sink.data, MONITOR_ENGINE_HEALTH, false, -1);
	}
}

static void fire(struct timer *timer)
{
	struct monitor_engine *monitor = (struct monitor_engine *)timer;
	struct clock_port *clock = clock_of(monitor);
	bool here = monitor->here(monitor->sink.data);
	int64_t gap = here && monitor->good ? monitor->period_ms : EAGER_MS;

	/* While there is none, a look takes no wake-up of its own. */
	timer->slack_ms = here ? 0 : ELSEWHERE_SLACK_MS;
	clock->set(clock, timer,
		   mono_add(clock->now(clock), gap < monitor->period_ms ? gap : monitor->period_ms));
	if (!here) {
		/* What was known of a VM that is gone must not be taken for the next one's health. */
		forget_question(monitor);
		if (monitor->was_here)
			monitor->sink.sample(monitor->sink.data, MONITOR_ENGINE_HEALTH, false,
					     HEALTH_UNKNOWN);
		monitor->was_here = monitor->good = false;
		return;
	}
	monitor->was_here = true;
	if (!monitor->easy)
		ask(monitor);
}

int monitor_engine_new(struct loop *loop, const char *url, const char *ca_file, int64_t timeout_ms,
		       int64_t period_ms, bool (*here)(void *data), struct sink sink,
		       struct monitor_engine **ret)
{
	_cleanup_free_ struct monitor_engine *monitor = calloc(1, sizeof(*monitor));

	assert(timeout_ms > 0 && period_ms > 0);
	if (!monitor)
		return -ENOMEM;
	monitor->url = strdup(url);
	monitor->ca_file = ca_file && *ca_file ? strdup(ca_file) : NULL;
	monitor->loop = loop;
	monitor->timeout_ms = timeout_ms;
	monitor->period_ms = period_ms;
	monitor->here = here;
	monitor->sink = sink;
	monitor->said = (CURLcode)-1;
	monitor->timer.fire = fire;
	monitor->curl_timer.fire = curl_timer_fired;
	if (!monitor->url) {
		free(monitor->ca_file);
		return -ENOMEM;
	}
	loop_clock(loop)->set(loop_clock(loop), &monitor->timer, loop_clock(loop)->now(loop_clock(loop)));
	*ret = TAKE_PTR(monitor);
	return 0;
}

void monitor_engine_free(struct monitor_engine *monitor)
{
	struct clock_port *clock;

	if (!monitor)
		return;
	clock = clock_of(monitor);
	forget_question(monitor);
	if (monitor->multi)
		curl_multi_cleanup(monitor->multi);
	clock->cancel(clock, &monitor->timer);
	clock->cancel(clock, &monitor->curl_timer);
	free(monitor->url);
	free(monitor->ca_file);
	free(monitor);
}
