//! The real binary, started as its users start it: on a free port, in a folder of its own.

mod access;
mod belonging;
mod children;
mod cli;
mod commands;
mod courses;
mod crew;
mod dependencies;
mod doctor;
mod edges;
mod events;
mod following;
mod guide;
mod kill;
mod kill_services;
mod lifecycle;
mod many_machines;
mod old_data;
mod openapi;
mod pages;
mod readme;
mod run;
mod server;
mod terminal;
mod top;
mod uploads;
