/*
 * test_top_cgroup.c - which container and pod gpushim-top sees in a control group's path.
 */
#include <string.h>

#include "cunit_main.h"
#include "top/cgroup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define INNER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "2f3c1a77-90ab-4cde-8f01-23456789abcd"
#define UID_ "2f3c1a77_90ab_4cde_8f01_23456789abcd"

static char container[TOP_CONTAINER_BYTES], pod[TOP_POD_BYTES];

static void expect(const char *text, const char *its_container, const char *its_pod)
{
	memset(container, 'x', sizeof(container));
	memset(pod, 'x', sizeof(pod));
	top_cgroup_read(text, container, pod);
	CU_ASSERT_STRING_EQUAL(container, its_container);
	CU_ASSERT_STRING_EQUAL(pod, its_pod);
}

static void runtimes_without_pods_are_known(void)
{
	expect("0::/system.slice/docker-" ID ".scope\n", "0123456789ab", "");
	expect("12:memory:/docker/" ID "\n0::/docker/" ID "\n", "0123456789ab", "");
	expect("0::/machine.slice/libpod-" ID ".scope/container\n", "0123456789ab", "");
	expect("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
	       ".scope\n",
	       "0123456789ab", "");
}

static void pods_are_known_however_their_groups_are_made(void)
{
	expect("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	       ".slice/cri-containerd-" ID ".scope\n",
	       "0123456789ab", UID);
	expect("0::/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope\n",
	       "0123456789ab", UID);
	expect("5:devices:/kubepods/besteffort/pod" UID "/" ID "\n", "0123456789ab", UID);
	expect("0::/../../pod" UID "/" ID "\n", "0123456789ab", "");
	expect("0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	       "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID
	       ".scope\n",
	       "0123456789ab", UID);
	/* As the kubelet names those of files of its own. */
	expect("0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" INNER "\n",
	       "fedcba987654", "0123456789abcdef0123456789abcdef");
}

static void the_inner_of_two_containers_counts(void)
{
	expect("0::/docker/" ID "/docker/" INNER "\n", "fedcba987654", "");
}

static void what_is_no_container_is_none(void)
{
	expect("", "", "");
	expect("0::/\n", "", "");
	expect("0::/user.slice/user-0.slice/session-3.scope\n", "", "");
	expect("0::/x/" ID "0\n", "", "");
	expect("0::/kubepods/pod\n", "", "");
	expect("0::/kubepods/pod" UID "0/x\n", "", "");
	expect("0::/kubepods/podzf3c1a77-90ab-4cde-8f01-23456789abcd/x\n", "", "");
	expect("0::/kubepods/mypod" UID "/x\n", "", "");
	expect("0::/kubepods/pod2f3c1a77-90ab-4cde-8f01-\033[31m789abcd/\n", "", "");
}

const struct unit_suite unit_suite = {
	.name = "containers by control groups",
	.tests = {
		UNIT_TEST(runtimes_without_pods_are_known),
		UNIT_TEST(pods_are_known_however_their_groups_are_made),
		UNIT_TEST(the_inner_of_two_containers_counts),
		UNIT_TEST(what_is_no_container_is_none),
	},
};
