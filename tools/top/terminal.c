/*
 * terminal.c - a terminal lent and given back as it was; see terminal.h.
 */
#include "top/terminal.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

/* Handed to handlers of signals; all but `stopped` is written before they are set up. */
static volatile sig_atomic_t stopped, continued;
static struct termios before;
static char give_back[512];
static size_t give_back_bytes;

static SCREEN *screen;
static sigset_t while_waiting;

/* ---- signals ---- */

static void on_stop(int number)
{
	stopped = number;
}

static void on_continue(int number)
{
	continued = number;
}

/* A crash: only what is safe in a handler, then the death that it would have been. */
static void on_crash(int number)
{
	ssize_t written = write(STDOUT_FILENO, give_back, give_back_bytes);

	(void)written;
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
	raise(number);
}

static int remember(int c)
{
	if (give_back_bytes < sizeof(give_back))
		give_back[give_back_bytes++] = (char)c;
	return c;
}

/* What the terminal needs to hear to be as before. */
static void prepare_give_back(void)
{
	static const char mouse_off[] = "\033[?1000l\033[?1006l\033[?1002l";
	static const char *const names[] = { "rmkx", "sgr0", "op", "cnorm", "rmcup" };

	give_back_bytes = 0;
	if (tigetstr("kmous") && tigetstr("kmous") != (char *)-1)
		for (const char *c = mouse_off; *c; c++)
			remember(*c);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *text = tigetstr(names[i]);

		if (text && text != (char *)-1)
			tputs(text, 1, remember);
	}
}

static void handle(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

/* Signals arrive while we wait for keys, and not in the middle of drawing. */
static void set_up_signals(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	static const int stops[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		handle(stops[i], on_stop, 0);
		sigaddset(&blocked, stops[i]);
	}
	handle(SIGCONT, on_continue, 0);
	sigaddset(&blocked, SIGCONT);
	sigaddset(&blocked, SIGWINCH);
	sigaddset(&blocked, SIGTSTP);
	sigprocmask(SIG_BLOCK, &blocked, &while_waiting);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
		sigdelset(&while_waiting, stops[i]);
	sigdelset(&while_waiting, SIGCONT);
	sigdelset(&while_waiting, SIGWINCH);
	sigdelset(&while_waiting, SIGTSTP);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		handle(crashes[i], on_crash, (int)(SA_RESETHAND | SA_NODEFER));
}

int top_terminal_stopped(void)
{
	return stopped;
}

/* ---- start and end ---- */

static int refuse(struct gsh_reason *why, const char *what, const char *sentence)
{
	gsh_reason_set(why, what, sentence,
		       " --once, --batch and --json need no terminal.", NULL);
	return -1;
}

int top_terminal_open(struct gsh_reason *why)
{
	const char *term = getenv("TERM");
	int known;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return refuse(why, "Input and output are", " no terminal.");
	if (!term || !*term)
		return refuse(why, "TERM",
			      " does not say what kind of terminal this is.");
	if (setupterm(NULL, STDOUT_FILENO, &known) == ERR || strcmp(term, "dumb") == 0 ||
	    !tigetstr("cup") || tigetstr("cup") == (char *)-1)
		return refuse(why, term,
			      " (TERM) is a terminal on which nothing can be put in its "
			      "place, or one that is not known here.");
	/* Characters alone: numbers in toprc are the same everywhere. */
	setlocale(LC_CTYPE, "");
	tcgetattr(STDIN_FILENO, &before);
	prepare_give_back();
	del_curterm(cur_term);
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return refuse(why, term, " (TERM) cannot be used.");
	atexit(top_terminal_close);
	set_up_signals();
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	return 0;
}

void top_terminal_close(void)
{
	if (!screen)
		return;
	top_terminal_mouse(false);
	endwin();
	delscreen(screen);
	screen = NULL;
	sigprocmask(SIG_SETMASK, &while_waiting, NULL);
}

bool top_terminal_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void top_terminal_mouse(bool wanted)
{
	mousemask(wanted ? BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
	mouseinterval(0);
}

/* ---- colours ---- */

static const struct scheme {
	short foreground, background; /* -1: the terminal's own */
	attr_t attributes;
} schemes[TOP_COLOURS][TOP_INKS] = {
	[TOP_COLOURS_DEFAULT] = {
		[TOP_INK_PLAIN] = { -1, -1, A_NORMAL },
		[TOP_INK_DIM] = { -1, -1, A_DIM },
		[TOP_INK_GOOD] = { COLOR_GREEN, -1, A_NORMAL },
		[TOP_INK_WARN] = { COLOR_YELLOW, -1, A_NORMAL },
		[TOP_INK_BAD] = { COLOR_RED, -1, A_BOLD },
		[TOP_INK_TITLE] = { -1, -1, A_BOLD },
		[TOP_INK_HEADING] = { COLOR_BLACK, COLOR_GREEN, A_NORMAL },
		[TOP_INK_SORTED] = { COLOR_BLACK, COLOR_CYAN, A_NORMAL },
		[TOP_INK_SELECTED] = { COLOR_BLACK, COLOR_CYAN, A_NORMAL },
		[TOP_INK_MEMORY] = { COLOR_CYAN, -1, A_NORMAL },
		[TOP_INK_SHARE] = { COLOR_GREEN, -1, A_NORMAL },
	},
	[TOP_COLOURS_MONO] = {
		[TOP_INK_PLAIN] = { -1, -1, A_NORMAL },
		[TOP_INK_DIM] = { -1, -1, A_DIM },
		[TOP_INK_GOOD] = { -1, -1, A_NORMAL },
		[TOP_INK_WARN] = { -1, -1, A_BOLD },
		[TOP_INK_BAD] = { -1, -1, A_BOLD | A_UNDERLINE },
		[TOP_INK_TITLE] = { -1, -1, A_BOLD },
		[TOP_INK_HEADING] = { -1, -1, A_REVERSE },
		[TOP_INK_SORTED] = { -1, -1, A_REVERSE | A_BOLD },
		[TOP_INK_SELECTED] = { -1, -1, A_REVERSE },
		[TOP_INK_MEMORY] = { -1, -1, A_NORMAL },
		[TOP_INK_SHARE] = { -1, -1, A_NORMAL },
	},
	/* Blue and orange or yellow are told apart by nearly everyone; bad is underlined, too. */
	[TOP_COLOURS_BLIND] = {
		[TOP_INK_PLAIN] = { -1, -1, A_NORMAL },
		[TOP_INK_DIM] = { -1, -1, A_DIM },
		[TOP_INK_GOOD] = { COLOR_CYAN, -1, A_NORMAL },
		[TOP_INK_WARN] = { COLOR_YELLOW, -1, A_NORMAL },
		[TOP_INK_BAD] = { COLOR_YELLOW, -1, A_BOLD | A_UNDERLINE },
		[TOP_INK_TITLE] = { -1, -1, A_BOLD },
		[TOP_INK_HEADING] = { COLOR_WHITE, COLOR_BLUE, A_BOLD },
		[TOP_INK_SORTED] = { COLOR_BLACK, COLOR_YELLOW, A_NORMAL },
		[TOP_INK_SELECTED] = { COLOR_BLACK, COLOR_YELLOW, A_NORMAL },
		[TOP_INK_MEMORY] = { COLOR_CYAN, -1, A_NORMAL },
		[TOP_INK_SHARE] = { COLOR_YELLOW, -1, A_NORMAL },
	},
};

static const struct scheme *inks = schemes[TOP_COLOURS_MONO];

void top_terminal_colours(enum top_colours scheme)
{
	inks = schemes[TOP_COLOURS_MONO];
	if (scheme == TOP_COLOURS_MONO || !has_colors() || start_color() == ERR)
		return;
	use_default_colors();
	inks = schemes[scheme];
	for (int i = 0; i < TOP_INKS; i++)
		init_pair((short)(i + 1), inks[i].foreground, inks[i].background);
}

void top_terminal_ink(enum top_ink ink)
{
	bool plain = inks == schemes[TOP_COLOURS_MONO] ||
		     (inks[ink].foreground < 0 && inks[ink].background < 0);

	attr_set(inks[ink].attributes, plain ? 0 : (short)(ink + 1), NULL);
}

/* ---- keys ---- */

/* After SIGSTOP, which nobody is asked about: whoever had the terminal left it as he liked. */
static void take_again(void)
{
	continued = 0;
	endwin();
	ungetch(KEY_RESIZE);
}

bool top_terminal_wait(uint64_t timeout_ns)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000),
				    .tv_nsec = (long)(timeout_ns % 1000000000) };
	int ready = ppoll(&input, 1, &timeout, &while_waiting);

	/* A terminal that is gone can be read as well, of nothing, and for ever. */
	if (ready > 0 && input.revents & (POLLHUP | POLLERR | POLLNVAL))
		stopped = SIGHUP;
	if (continued)
		take_again();
	return ready > 0 && !stopped;
}

static const char *mouse_key(struct top_mouse *mouse)
{
	MEVENT event;

	if (getmouse(&event) != OK)
		return "";
	mouse->y = event.y;
	mouse->x = event.x;
	mouse->what = event.bstate & BUTTON4_PRESSED   ? TOP_MOUSE_UP
		      : event.bstate & BUTTON5_PRESSED ? TOP_MOUSE_DOWN
						       : TOP_MOUSE_PRESS;
	return "Mouse";
}

const char *top_terminal_key(struct top_mouse *mouse)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {
		{ KEY_UP, "Up" },
		{ KEY_DOWN, "Down" },
		{ KEY_LEFT, "Left" },
		{ KEY_RIGHT, "Right" },
		{ KEY_PPAGE, "PgUp" },
		{ KEY_NPAGE, "PgDn" },
		{ KEY_HOME, "Home" },
		{ KEY_END, "End" },
		{ KEY_ENTER, "Enter" },
		{ '\r', "Enter" },
		{ '\n', "Enter" },
		{ ' ', "Space" },
		{ 27, "Esc" },
		{ 'L' - '@', "^L" },
		{ KEY_BACKSPACE, "Backspace" },
		{ 127, "Backspace" },
		{ '\b', "Backspace" },
		{ KEY_RESIZE, "Resize" },
	};
	static char name[8];
	int code = getch();

	if (code == ERR)
		return NULL;
	if (code == KEY_MOUSE)
		return mouse_key(mouse);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	name[0] = '\0';
	if (code >= KEY_F(1) && code <= KEY_F(12))
		snprintf(name, sizeof(name), "F%d", code - KEY_F0);
	else if (code > ' ' && code <= '~')
		snprintf(name, sizeof(name), "%c", code);
	return name;
}
