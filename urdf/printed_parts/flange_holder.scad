// Holds a GelSight Mini on the flange of a Franka arm (ISO 9409-1-50-4-M6).
// The flange is the plane z = 0, its axis +z. Frame `gel` has the flange's orientation, turned by
// `turn` about +z, at z = gel_distance.
include <gelsight_mini.scad>

gel_distance = 80;      // rig.mount_position_mm = [0, 0, gel_distance] with O_T_EE at the flange
turn = 0;               // degrees; rig.mount_rpy_rad = [0, 0, turn * pi / 180]
screw_circle = 50;      // four M6 screws
screw = 6.6;
base = [63, 8];         // diameter, thickness
centring = [31.3, 4];   // boss for the recess of 31.5 H7: diameter, height
pin = 6.2;              // hole of the 6 mm locating pin, on the screw circle at 45 degrees
neck = [34, 26];        // narrower than the circle of the screw heads

seat = gel_distance - pad - body[2];

difference() {
    union() {
        cylinder(d = base[0], h = base[1]);
        translate([0, 0, -centring[1]]) cylinder(d = centring[0], h = centring[1] + 0.01);
        rotate(turn) {
            translate([0, 0, base[1] - 0.01]) intersection() {
                translate([-neck[0] / 2, -neck[1] / 2, 0])
                    cube([neck[0], neck[1], seat - wall - base[1] + 0.02]);
                cylinder(d = 36, h = seat);
            }
            translate([0, 0, seat]) cup();
        }
    }
    rotate(turn) {
        for (angle = [0, 90, 180, 270]) rotate(angle)
            translate([screw_circle / 2, 0, -1]) cylinder(d = screw, h = base[1] + 2);
        // The cable leaves through the neck, toward -y.
        translate([-plug[0] / 2, -neck[1], base[1] + 4])
            cube([plug[0], neck[1] + plug[1] / 2, seat - wall - base[1] - 3.9]);
    }
    rotate(turn + 45) translate([screw_circle / 2, 0, -1]) cylinder(d = pin, h = base[1] + 2);
}
